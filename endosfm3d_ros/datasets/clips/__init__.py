"""Clip folders: numbered images, a camera file and references beside them."""
