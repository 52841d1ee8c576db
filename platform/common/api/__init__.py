"""REST of `common`."""
