"""System calls under their own names; the only room with ctypes."""
