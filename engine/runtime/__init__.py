"""Starts container processes through the spawner and talks to their supervisors."""
