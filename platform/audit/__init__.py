"""Who did what to which object, from where, with what result."""
