"""Command lines of `environments`."""
