"""Where the camera is in the map, and in which scale."""
