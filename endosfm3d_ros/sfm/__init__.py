"""Floor 3: depth, camera motion, intrinsics and scale from images."""
