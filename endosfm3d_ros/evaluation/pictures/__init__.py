"""Curves and pictures of an evaluation."""
