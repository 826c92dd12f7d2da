"""From scenes and cameras to light."""
