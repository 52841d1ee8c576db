"""REST of `audit`."""
