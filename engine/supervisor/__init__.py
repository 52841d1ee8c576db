"""The process beside every container: holds its stdio, log and exit status."""
