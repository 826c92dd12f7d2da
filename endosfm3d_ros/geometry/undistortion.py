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

        `exact` takes the nearest pixel, for labels and depth. An image of another size than the
        camera's becomes as large as the camera.
        """
        if not camera.distorted:
            return image
        if camera != self._camera:
            coefficients = np.array(camera.distortion)
            self._maps = cv2.initUndistortRectifyMap(
                camera.K, coefficients, None, camera.K, camera.size, cv2.CV_16SC2
            )
            self._camera = camera
        way = cv2.INTER_NEAREST if exact else cv2.INTER_LINEAR
        if image.shape[1::-1] != camera.size:
            image = cv2.resize(image, camera.size, interpolation=way)
        return cv2.remap(image, *self._maps, way)
