"""What every app shares: errors, permission names, jobs, API base classes."""
