"""Meshes of instruments, their silhouettes, and what a mask tells of a shaft."""
