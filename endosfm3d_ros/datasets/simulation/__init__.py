"""A procedural stereo endoscope over living tissue, with exact depth, pose and calibration."""
