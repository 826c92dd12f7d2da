"""The first pose of a tool: many orientations at once, each moved onto the mask by its moments."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.opjpo.pose import UnitPose
from endosfm3d_ros.tools.opjpo.target import MaskTarget
from endosfm3d_ros.tools.shapes.silhouette import SilhouetteMesh, silhouettes


@dataclass(frozen=True)
class SearchConfig:
    """Orientations that are tried. Reconstructed models keep the view that they were made from,
    so few are needed around it; a model from a file may be seen from anywhere."""

    tilts: tuple[float, ...] = (-0.3, 0.0, 0.3)  # rad about x and y
    rolls: tuple[float, ...] = (-0.45, -0.3, -0.15, 0.0, 0.15, 0.3, 0.45)  # rad about z
    directions: int = 48  # of view, where nothing is known
    alignments: int = 2  # times that position and distance follow from the moments
    resolution: int = 40  # px of the window's larger side
    kept: int = 4  # best candidates, for refinement


def orientations_around(R: np.ndarray, config: SearchConfig) -> np.ndarray:
    """(B, 3, 3) rotations near a known one, which is the first."""
    angles = np.array(np.meshgrid(config.tilts, config.tilts, config.rolls)).reshape(3, -1).T
    angles = angles[np.argsort(np.abs(angles).sum(axis=1), kind="stable")]
    return Rotation.from_rotvec(angles).as_matrix() @ R


def all_orientations(axis: np.ndarray, mask: np.ndarray, config: SearchConfig) -> np.ndarray:
    """(B, 3, 3) rotations from every direction of view that lay the long axis along the mask.

    Args:
        axis: (3,) long axis of the model.
        mask: (h, w) bool.
        config: number of directions.
    """
    angle = axis_angle(mask)
    views = Rotation.from_matrix([view_rotation(d) for d in sphere(config.directions)])
    seen = views.apply(axis)
    turn = angle - np.arctan2(seen[:, 1], seen[:, 0])
    both = np.concatenate([turn, turn + np.pi])
    rolls = Rotation.from_rotvec(both[:, None] * [0, 0, 1])
    return rolls.as_matrix() @ np.tile(views.as_matrix(), (2, 1, 1))


def axis_angle(mask: np.ndarray) -> float:
    """Direction of the mask's long axis in the image, radians from x towards y."""
    rows, columns = np.nonzero(mask)
    _, axes = np.linalg.eigh(np.cov(np.stack([columns, rows])))
    return float(np.arctan2(axes[1, 1], axes[0, 1]))


def sphere(count: int) -> np.ndarray:
    """(N, 3) directions, evenly spread (Fibonacci lattice)."""
    index = np.arange(count) + 0.5
    polar, turn = np.arccos(1 - 2 * index / count), np.pi * (1 + 5**0.5) * index
    return np.stack(
        [np.sin(polar) * np.cos(turn), np.sin(polar) * np.sin(turn), np.cos(polar)], axis=1
    )


def view_rotation(direction: np.ndarray) -> np.ndarray:
    """(3, 3) a rotation that takes a direction to the z axis."""
    helper = np.eye(3)[np.argmin(np.abs(direction))]
    x = np.cross(helper, direction)
    x /= np.linalg.norm(x)
    return np.stack([x, np.cross(direction, x), direction])


def search(
    mesh: SilhouetteMesh,
    rotations: np.ndarray,
    position: np.ndarray,
    camera: PinholeCamera,
    target: MaskTarget,
    config: SearchConfig,
) -> list[UnitPose]:
    """The best candidates, best first.

    Args:
        mesh: centred vertices.
        rotations: (B, 3, 3).
        position: (3,) of the model's centre to start from, model units.
        camera: undistorted.
        target: of low resolution.
        config: how many passes, how many are kept.
    """
    turned = np.einsum("bij,vj->bvi", rotations.astype(np.float32), mesh.vertices)
    positions = np.repeat(position[None].astype(np.float32), len(rotations), axis=0)
    for _ in range(config.alignments):
        solid = silhouettes(mesh, turned + positions[:, None], camera, target.window)
        positions = follow_moments(positions, solid, camera, target)
    solid = silhouettes(mesh, turned + positions[:, None], camera, target.window)
    overlaps = target.overlaps(solid)
    best = np.argsort(-overlaps, kind="stable")[: config.kept]
    return [UnitPose(rotations[i], positions[i].astype(float)) for i in best]


def follow_moments(
    positions: np.ndarray, solid: np.ndarray, camera: PinholeCamera, target: MaskTarget
) -> np.ndarray:
    """(B, 3) positions at which areas and centroids of (B, h, w) silhouettes meet the mask's."""
    area, centroid = moments(solid)
    wanted_area, wanted = moments(target.mask[None])
    empty = area == 0
    ratio = np.sqrt(np.where(empty, 1, area) / wanted_area)
    shift = np.where(empty[:, None], 0, wanted - centroid) * target.window.step
    moved = positions.copy()
    moved[:, :2] += shift / (camera.fx, camera.fy) * positions[:, 2:]
    return moved * np.clip(ratio, 0.5, 2.0)[:, None]


def moments(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(B,) areas and (B, 2) centroids of (B, h, w) masks."""
    columns, rows = masks.sum(axis=1), masks.sum(axis=2)
    area = columns.sum(axis=1)
    safe = np.maximum(area, 1)
    x = columns @ np.arange(masks.shape[2]) / safe
    y = rows @ np.arange(masks.shape[1]) / safe
    return area, np.stack([x, y], axis=1)
