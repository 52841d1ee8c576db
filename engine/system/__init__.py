"""Facts about the engine as a whole: info, version, event history."""
