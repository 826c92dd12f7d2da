"""Scores of single images, paths and cameras against references."""
