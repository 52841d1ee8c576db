"""Registered engines and the door to them."""
