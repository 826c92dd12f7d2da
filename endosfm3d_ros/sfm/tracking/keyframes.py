"""Key frames: what later images are compared with, patch by patch.

Every point belongs to the key frame that it was found in. Other images are compared with that key
frame itself, so that no point creeps along the tissue from view to view.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.features.optical_flow import follow_through
from endosfm3d_ros.types import DepthMap

# What clips with true poses are off by, step by step, beyond what noise explains: the lens, the
# pair and the shape of the surface are wrong in every frame alike.
DRIFT, DRIFT_OF_ONE_EYE = 0.01, 0.03  # of the motion; one standard deviation
STANDING = 0.0005  # of the distance, and rad; where nothing moves


@dataclass(frozen=True)
class Keyframe:
    """What later images are compared with. N points, in the camera frame of this view."""

    number: int
    T_odom: np.ndarray  # 4x4 its camera to odom
    T_map: np.ndarray  # 4x4 its camera to the map, improved while it is in the window
    covariance: np.ndarray  # (6, 6) of T_map, in map axes
    grey: np.ndarray  # (H, W) uint8
    camera: PinholeCamera  # at the size of `grey`
    pixels: np.ndarray  # (N, 2) float32, in the image as it is
    points: np.ndarray  # (N, 3) float64
    measured: np.ndarray  # (N,) float64 depth along z, NaN where it was not measured
    depth_sigma: float  # relative, of `measured`
    depth: DepthMap | None = None  # to measure points of other views; None: not believed

    def grown(self, factor: float) -> Keyframe:
        """In a world that is larger by a factor, about the origin of the map; odometry stays."""
        lengths = np.diag([factor] * 3 + [1.0] * 3)
        return replace(
            self, T_map=se3.scaled(self.T_map, factor), points=factor * self.points,
            measured=factor * self.measured, covariance=lengths @ self.covariance @ lengths,
        )  # fmt: skip

    def bare(self, T_map: np.ndarray, grey: np.ndarray, camera: PinholeCamera) -> Keyframe:
        """Another view (its 4x4 camera to map), that sees points but has none of its own."""
        return replace(
            self, number=0, T_map=T_map, grey=grey, camera=camera, pixels=self.pixels[:0],
            points=self.points[:0], measured=self.measured[:0], depth=None,
        )  # fmt: skip


@dataclass(frozen=True)
class Link:
    """Points of one view as another one sees them."""

    index: np.ndarray  # (K,) rows of the host
    pixels: np.ndarray  # (K, 2) float32 in the target, as it is


def found_again(
    host: Keyframe,
    T: np.ndarray,
    grey: np.ndarray,
    camera: PinholeCamera,
    *,
    window: int,
    round_trip: float,
    gate: float,
) -> Link:
    """Points of a key frame in another image, patch by patch.

    The other image is seen through the plane that is nearest to the points, so that patches
    neither turn nor grow: what is left to find is a small shift.

    Args:
        host: the key frame.
        T: 4x4 T_camera_host, roughly.
        grey: (H, W) uint8 the other image.
        camera: of that image.
        window: side of the compared patch in px.
        round_trip: px, see `tracks.follow`.
        gate: px from where `T` puts the point.
    """
    expected = camera.project(se3.transform(T, host.points))
    height, width = grey.shape
    seen = ((expected > 0) & (expected < (width - 1, height - 1))).all(axis=1)
    index = np.flatnonzero(seen)
    known = host.points[np.isfinite(host.points).all(axis=1)]
    plane = np.linalg.lstsq(known, np.ones(len(known)), rcond=None)[0]  # plane @ x = 1
    H = camera.K @ (T[:3, :3] + np.outer(T[:3, 3], plane)) @ np.linalg.inv(host.camera.K)
    pixels, good = follow_through(
        host.grey, grey, host.pixels[index], expected[index].astype(np.float32), H,
        window=window, levels=1, round_trip=round_trip,
    )  # fmt: skip
    good &= np.linalg.norm(pixels - expected[index], axis=1) < gate
    return Link(index[good], pixels[good])


def drift(host: Keyframe, T: np.ndarray) -> np.ndarray:
    """(6, 6) covariance that a motion T (4x4) from a key frame has besides that of noise.

    It is the same in every direction: sideways motion and rotation look alike.
    """
    distance = float(np.median(host.points[:, 2])) if len(host.points) else 1.0
    share = DRIFT_OF_ONE_EYE if host.depth is None else DRIFT
    motion = float(np.linalg.norm(T[:3, 3])) / distance + se3.rotation_angle(T)
    return (share * motion + STANDING) ** 2 * np.diag([distance**2] * 3 + [1.0] * 3)


def rotated(covariance: np.ndarray, R: np.ndarray) -> np.ndarray:
    """(6, 6) covariance of translation and rotation in axes turned by R."""
    both = np.kron(np.eye(2), R)
    return both @ covariance @ both.T
