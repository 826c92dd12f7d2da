"""Predicted depth at the pixels of the image that it came from, where references live.

A depth map may be smaller than the image and is free of lens distortion, the image is not: each
pixel of the image is sent through the lens to its place in the depth map.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera


def depth_on_image(depth: np.ndarray, camera: PinholeCamera, lens: PinholeCamera) -> np.ndarray:
    """Depth along z at every pixel of the raw image, bilinear in inverse depth.

    Invalid neighbours get no weight; a pixel is invalid where they have more than half of it, or
    outside the map. At a depth edge the value lies between both surfaces.

    Args:
        depth: (h, w) float32, NaN invalid, of `camera`.
        camera: the undistorted pinhole of the depth map.
        lens: the camera of the raw image, in the same place and direction.

    Returns:
        (H, W) float32 of the size of `lens`, NaN invalid.
    """
    if camera == lens:
        return depth
    u, v = _places(camera, lens)
    valid = np.isfinite(depth)
    inverse = np.divide(1, depth, out=np.zeros_like(depth), where=valid)
    weight, total = (
        cv2.remap(plane, u, v, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)
        for plane in (valid.astype(np.float32), inverse)
    )
    inside = (np.abs(u - (camera.width - 1) / 2) <= camera.width / 2) & (
        np.abs(v - (camera.height - 1) / 2) <= camera.height / 2
    )
    known = inside & (weight >= 0.5)
    return np.divide(weight, total, out=np.full_like(total, np.nan), where=known)


@lru_cache(maxsize=1)  # one stream has one pair of cameras, or a new one with every frame
def _places(camera: PinholeCamera, lens: PinholeCamera) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) float32 u and v in the map of `camera` that the pixels of `lens` see."""
    rays = lens.rays()
    u = rays[..., 0] * np.float32(camera.fx) + np.float32(camera.cx)
    v = rays[..., 1] * np.float32(camera.fy) + np.float32(camera.cy)
    return u, v
