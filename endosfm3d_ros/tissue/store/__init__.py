"""The Gaussians themselves, what the map hands out of them, and their files."""
