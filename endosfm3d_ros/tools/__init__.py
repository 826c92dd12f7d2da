"""Floor 3: instrument models and where they are in the camera frame."""
