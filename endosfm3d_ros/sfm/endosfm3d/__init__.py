"""The networks of EndoSfM3D (arXiv 2510.22359) as a source of depth, motion and intrinsics."""
