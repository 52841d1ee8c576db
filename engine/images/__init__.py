"""Images: names, pull, load, list, remove."""
