"""Containers and images of an environment; the engine is the source of truth."""
