"""REST of `workloads`."""
