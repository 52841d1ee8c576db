"""The launcher: from a bare checkout to a running Hythe. Standard library alone, but `manager`."""
