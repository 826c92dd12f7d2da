"""What is seen of a frame: grey images, even light, corners, and where they go."""
