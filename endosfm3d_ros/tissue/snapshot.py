"""What the map hands out: the render without instruments, and the cloud with its labels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.tissue.gaussians import GaussianStore
from endosfm3d_ros.types import Cloud, CloudLabel

MEMORY = 60.0  # seconds after which confidence in what is not seen has fallen to a third


SHOWN = ("means", "quats", "opacities", "colors", "weights", "seen", "guessed")  # of a Gaussian


def cloud_later(
    store: GaussianStore, frame: int, fps: float, T_map_camera: np.ndarray
) -> Callable[[], Cloud]:
    """What `cloud_of` needs, copied: whole arrays, which is a tenth of the work of the cloud."""
    rows = {name: store.view(name).copy() for name in SHOWN}
    return partial(cloud_of, rows, frame, fps, T_map_camera.copy())


def cloud_of(
    rows: dict[str, np.ndarray], frame: int, fps: float, T_map_camera: np.ndarray
) -> Cloud:
    """Every Gaussian as a point of the map frame.

    MEASURED was seen in this frame; RETAINED was seen earlier and is hidden or out of view now;
    INFERRED was never seen, or its depth never measured. Confidence is w / (w + 1) of the
    observations w that a place is worth, and fades while it is not seen.
    """
    alive = np.flatnonzero(rows["opacities"] > 0)
    seen = rows["seen"][alive]
    labels = np.where(seen == frame, CloudLabel.MEASURED, CloudLabel.RETAINED).astype(np.uint8)
    labels[rows["guessed"][alive]] = CloudLabel.INFERRED
    weight = rows["weights"][alive]
    age = (frame - seen).astype(np.float32) / np.float32(fps)
    points = rows["means"][alive]
    return Cloud(
        points=points,
        colors=np.clip(rows["colors"][alive] * 255 + 0.5, 0, 255).astype(np.uint8),
        normals=normals_towards(T_map_camera, points, rows["quats"][alive]),
        confidence=weight / (weight + 1) * np.exp(-age / np.float32(MEMORY)),
        labels=labels,
    )


def normals_towards(T_map_camera: np.ndarray, points: np.ndarray, quats: np.ndarray) -> np.ndarray:
    """(N, 3) float32 third axes of quaternions w x y z, turned to the camera's side."""
    w, x, y, z = quats.T
    normals = np.stack([2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)], axis=1)
    rays = points - T_map_camera[:3, 3].astype(np.float32)
    away = np.einsum("nd,nd->n", rays, normals) > 0
    normals[away] *= -1
    return normals


def as_bytes(rgb: np.ndarray) -> np.ndarray:
    """(H, W, 3) float 0..1 to uint8."""
    return np.clip(rgb * 255 + 0.5, 0, 255).astype(np.uint8)


def in_camera(cloud: Cloud, T_map_camera: np.ndarray) -> Cloud:
    """The same cloud in the camera frame."""
    T = se3.inverse(T_map_camera)
    rotation = T[:3, :3].astype(np.float32)
    return Cloud(
        se3.transform(T, cloud.points),
        cloud.colors,
        cloud.normals @ rotation.T,
        cloud.confidence,
        cloud.labels,
    )
