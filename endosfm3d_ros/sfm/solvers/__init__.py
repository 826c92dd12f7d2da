"""Least squares: the pose of one view, and bundle adjustment of many."""
