"""Is depth from outside of the same pixels as the picture? Its own camera_info tells."""

from __future__ import annotations

from typing import Any

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.cameras import camera_from_info

APART = 0.02  # of the picture's width, by which a pixel may see another direction
CURE = "register the depth to the picture"


def require_depth_camera(
    info: Any, depth_size: tuple[int, int], camera: PinholeCamera, topic: str
) -> None:
    """Refuse depth of another camera than the picture's.

    Args:
        info: camera_info that was published beside the depth.
        depth_size: (width, height) of the depth image.
        camera: of the picture, lens included.
        topic: of the info.

    Raises:
        InputError: another field of view or centre, or depth of the rectified picture beside a raw
            one; with numbers.
    """
    own = camera_from_info(info, depth_size, topic=topic)
    if own is None:
        return
    own = own.resized(*camera.size)
    if camera.distorted and not own.distorted and _apart(own, camera) <= APART:
        if _rays_apart(own, camera) > APART:
            raise InputError(
                f"{topic} says that depth is without lens distortion, and the picture has some: "
                f"they lie up to {_rays_apart(own, camera):.1%} of the width apart, {APART:.0%} "
                f"are accepted; give the rectified picture as image_raw, or {CURE}"
            )
        return
    if _apart(own, camera) > APART:
        raise InputError(
            f"{topic} says fx {own.fx:.1f}, cx {own.cx:.1f}, cy {own.cy:.1f} px at "
            f"{camera.width}x{camera.height}, the picture's camera {camera.fx:.1f}, "
            f"{camera.cx:.1f}, {camera.cy:.1f}: {APART:.0%} of the width are accepted; {CURE}"
        )


def _apart(a: PinholeCamera, b: PinholeCamera) -> float:
    """How far corners of one picture lie from those of the other, without lens, of the width."""
    scale = max(abs(a.fx / b.fx - 1), abs(a.fy / b.fy - 1)) / 2
    return scale + max(abs(a.cx - b.cx), abs(a.cy - b.cy)) / b.width


def _rays_apart(a: PinholeCamera, b: PinholeCamera) -> float:
    """The same with lenses: where pixels of one are in the other."""
    u, v = np.meshgrid(*(np.linspace(0.1, 0.9, 5) * length for length in a.size))
    pixels = np.column_stack([u.ravel(), v.ravel()])
    moved = b.project(a.unproject(pixels))
    return float(np.nanmax(np.abs(moved - pixels)) / b.width)
