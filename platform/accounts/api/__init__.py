"""REST of `accounts`."""
