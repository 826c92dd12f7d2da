"""The frame of the large reconstruction model, and the view that it believes to see.

It looks from (0, -2, 0) along +y with z up (OpenLRM's source camera), at the cube [-1, 1]^3, with
a focal length of 0.75 image sides. Models here have optical axes: x right, y down, z away.
"""

from __future__ import annotations

import numpy as np

SOURCE_DISTANCE = 2.0  # model units from the source camera to the cube's centre
SOURCE_FOCAL = 0.75  # over the side of the square image


def lrm_to_optical(points: np.ndarray) -> np.ndarray:
    """(N, 3) points of the reconstruction's frame with optical axes, about the cube's centre."""
    return np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)


def optical_to_lrm(points: np.ndarray) -> np.ndarray:
    """(N, 3) the inverse of `lrm_to_optical`."""
    return np.stack([points[:, 0], points[:, 2], -points[:, 1]], axis=1)


def source_view() -> np.ndarray:
    """(4, 4) model to source camera, in model units."""
    T = np.eye(4)
    T[2, 3] = SOURCE_DISTANCE
    return T
