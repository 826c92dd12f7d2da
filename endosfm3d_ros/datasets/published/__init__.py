"""Data sets and recorders in the layouts that others publish."""
