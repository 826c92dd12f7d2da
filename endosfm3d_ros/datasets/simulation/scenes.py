"""The scenes of the simulator, and how their camera moves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from endosfm3d_ros.datasets.simulation.shading import Light
from endosfm3d_ros.datasets.simulation.surface import Breathing
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import StereoGeometry

BASELINE = 0.00413  # metres; a da Vinci Xi endoscope
FOCAL = 0.8675  # of the width; the rectified da Vinci Xi view

# Slow hand-held-like motion: amplitude (m or rad) and frequency (Hz) per axis. All are sines of
# time, so the first camera is the world.
TRANSLATION = ((0.008, 0.10), (0.005, 0.13), (0.006, 0.07))
ROTATION = ((0.05, 0.11), (0.06, 0.09), (0.12, 0.06))

WET = Light(film=0.5, noise=1.2)


@dataclass(frozen=True)
class Scene:
    """What is seen and how."""

    distance: float = 0.050  # metres
    relief: float = 1.0
    breathing: Breathing = field(default_factory=Breathing)
    motion: float = 1.0  # factor on the camera's path
    light: Light = WET
    raw_rotation: float = 0.0  # degrees between the raw and the rectified left eye


SCENES: dict[str, Scene] = {
    "breathing": Scene(breathing=Breathing(rise=0.004, drag=0.0015)),
    "static": Scene(),
    "plane": Scene(relief=0.0, motion=0.0, light=Light()),
    "rotated": Scene(raw_rotation=2.0),
}


def camera_path(scene: Scene, time: float) -> np.ndarray:
    """4x4 camera-to-world of the rectified left eye at a time in seconds."""
    waves = [
        scene.motion * amplitude * np.sin(2 * np.pi * frequency * time)
        for amplitude, frequency in (*TRANSLATION, *ROTATION)
    ]
    return se3.from_vectors(np.array(waves[3:]), np.array(waves[:3]))


def stereo_rig(scene: Scene, width: int, height: int) -> StereoGeometry:
    """The pair: rectified, or with raw eyes turned about a skew axis.

    The right eye turns by 60 % of the left one's angle about another axis, and the raw focal
    lengths differ from the rectified one, so that nothing cancels by symmetry.
    """
    rectified = PinholeCamera(
        width, height, FOCAL * width, FOCAL * width, 0.502 * width, 0.497 * height
    )
    P_left = np.column_stack([rectified.K, np.zeros(3)])
    P_right = P_left.copy()
    P_right[0, 3] = -rectified.fx * BASELINE
    if not scene.raw_rotation:
        return StereoGeometry(rectified, rectified, np.eye(3), P_left, np.eye(3), P_right)
    angle = np.radians(scene.raw_rotation)
    left = _turned(angle, (0.55, 0.72, 0.42))
    right = _turned(-0.6 * angle, (0.75, -0.5, 0.43))
    raw = [_with_focal(rectified, factor) for factor in (0.96, 0.965)]
    return StereoGeometry(*raw, left, P_left, right, P_right)


def _turned(angle: float, axis: tuple[float, float, float]) -> np.ndarray:
    unit = np.array(axis) / np.linalg.norm(axis)
    return se3.from_vectors(angle * unit, np.zeros(3))[:3, :3]


def _with_focal(camera: PinholeCamera, factor: float) -> PinholeCamera:
    K = camera.K
    K[:2, :2] *= factor
    return PinholeCamera.from_matrix(K, *camera.size)
