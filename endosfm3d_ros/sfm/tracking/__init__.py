"""Where the camera is: key frames, localisation against them, and finding it again."""
