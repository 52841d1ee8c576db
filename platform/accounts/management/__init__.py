"""Command lines of `accounts`."""
