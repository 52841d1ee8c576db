"""Words shared by every room: errors, events, identifiers, references."""
