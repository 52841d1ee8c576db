"""Unpacked trees, active or committed, keyed by container or chain ID."""
