"""REST of `environments`."""
