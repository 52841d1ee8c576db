"""Named data that outlives containers."""
