"""Which camera took the images: beliefs, and self-calibration from video alone."""
