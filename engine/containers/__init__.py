"""Containers: model, states, and a file per verb."""
