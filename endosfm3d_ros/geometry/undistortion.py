"""Images as an undistorted pinhole of the same matrix would have taken them."""

from __future__ import annotations

import cv2
import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera


class Undistorter:
    """Resamples images of one camera; keeps the maps of the last camera it saw."""

    def __init__(self) -> None:
        self._camera: PinholeCamera | None = None
        self._maps: tuple[np.ndarray, np.ndarray] | None = None

    def apply(self, image: np.ndarray, camera: PinholeCamera, exact: bool = False) -> np.ndarray:
        """(H, W, C) image without lens distortion; black where the lens saw nothing.

        `exact` takes the nearest pixel, for labels.
        """
        if not camera.distorted:
            return image
        if camera != self._camera:
            self._maps = camera.rectifying_maps(None, camera.K, camera.size)
            self._camera = camera
        return cv2.remap(image, *self._maps, cv2.INTER_NEAREST if exact else cv2.INTER_LINEAR)
