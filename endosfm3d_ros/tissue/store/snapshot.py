"""What the map hands out: the render without instruments, and the cloud with its labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.tissue.store.gaussians import GaussianStore
from endosfm3d_ros.types import Cloud, CloudLabel

MEMORY = 60.0  # seconds after which confidence in what is not seen has fallen to a third
SHOWN = (
    *("means", "quats", "scales", "opacities", "colors"),
    *("weights", "seen", "inferred", "guessed"),
)


@dataclass(frozen=True)
class GaussianSnapshot:
    """The Gaussians of one image, copied: the map goes on while others read them.

    Copying whole arrays takes a tenth of the time of making a cloud, which few images need.
    """

    rows: dict[str, np.ndarray]  # field of `GaussianStore` -> (size, ..); opacity 0 is unused
    frame: int  # number of the image
    fps: float
    T_map_camera: np.ndarray  # 4x4 camera-to-map

    @classmethod
    def of(
        cls, store: GaussianStore, frame: int, fps: float, T_map_camera: np.ndarray
    ) -> GaussianSnapshot:
        """What the store holds now."""
        rows = {name: store.view(name).copy() for name in SHOWN}
        return cls(rows, frame, fps, T_map_camera.copy())

    def alive(self) -> np.ndarray:
        """(N,) int64 slots in use."""
        return np.flatnonzero(self.rows["opacities"] > 0)

    def cloud(self) -> Cloud:
        """Every Gaussian as a point of the map frame.

        MEASURED was seen in this image; RETAINED was seen earlier and is hidden or out of view
        now; INFERRED was never seen, or its depth never measured. Confidence is w / (w + 1) of the
        observations w that a place is worth, and fades while it is not seen.
        """
        rows, alive = self.rows, self.alive()
        seen = rows["seen"][alive]
        now = seen == self.frame
        labels = np.where(now, CloudLabel.MEASURED, CloudLabel.RETAINED).astype(np.uint8)
        labels[rows["guessed"][alive]] = CloudLabel.INFERRED
        weight = rows["weights"][alive]
        age = (self.frame - seen).astype(np.float32) / np.float32(self.fps)
        points = rows["means"][alive]
        return Cloud(
            points=points,
            colors=as_bytes(rows["colors"][alive]),
            normals=normals_towards(self.T_map_camera, points, rows["quats"][alive]),
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
    """(.., 3) float 0..1 to uint8."""
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
