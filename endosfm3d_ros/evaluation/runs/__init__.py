"""Recordings through the pipeline, in the ways that evaluations need."""
