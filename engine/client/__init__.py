"""A client of any Docker Engine API; the only part of the engine that others import."""
