"""Publishers of the scene, and who places the camera in TF."""
