"""Wide-angle cameras after Scaramuzza et al. 2006, and how to see through them as a pinhole."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera

TABLE = 4096  # radii at which the inverse of the polynomial is tabulated
OUTSIDE = 1e6  # px; radius of what the lens does not see


@dataclass(frozen=True)
class OmnidirectionalCamera:
    """A pixel (u, v) sees along (x, y, a0 + a1 r + a2 r^2 + ..), where r^2 = x^2 + y^2 and

        (u - cx, v - cy) = [c d; e 1] (x, y)

    Lengths are in pixels; z is forward, y down.
    """

    width: int
    height: int
    cx: float
    cy: float
    polynomial: tuple[float, ...]  # a0, a1, ..
    affine: tuple[float, float, float]  # c, d, e

    def project(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Pixel coordinates (u, v) that see along (x, y, 1)."""
        radii = np.linspace(0, np.hypot(self.width, self.height) / 2, TABLE)
        forward = np.polynomial.polynomial.polyval(radii, self.polynomial)
        rising = np.cumprod(forward > 0).astype(bool)  # up to where the view turns sideways
        slopes = radii[rising] / forward[rising]
        slope = np.hypot(x, y)
        radius = np.interp(slope, slopes, radii[rising], right=OUTSIDE)
        share = radius / np.maximum(slope, 1e-12)
        c, d, e = self.affine
        return (c * x + d * y) * share + self.cx, (e * x + y) * share + self.cy

    def pinhole(self) -> PinholeCamera:
        """A pinhole of the same size with the resolution of the image centre, centred."""
        focal = self.polynomial[0]
        centre = (self.width - 1) / 2, (self.height - 1) / 2
        return PinholeCamera(self.width, self.height, focal, focal, *centre)


class PinholeView:
    """Images of an omnidirectional camera as its pinhole would have taken them."""

    def __init__(self, source: OmnidirectionalCamera) -> None:
        self.camera = source.pinhole()
        rays = self.camera.rays()
        u, v = source.project(rays[..., 0], rays[..., 1])
        self._maps = u.astype(np.float32), v.astype(np.float32)

    def apply(self, image: np.ndarray, exact: bool = False) -> np.ndarray:
        """(H, W, ..) image, 0 where the lens saw nothing; `exact` takes the nearest pixel."""
        return cv2.remap(image, *self._maps, cv2.INTER_NEAREST if exact else cv2.INTER_LINEAR)
