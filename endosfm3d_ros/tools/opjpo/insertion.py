"""The first pose of a long mesh in metres whose shaft comes in from outside the image.

Most of such a model is out of sight, so areas and centroids say nothing. What is known is where
its working end is (the inner end of the mask), which way the shaft goes, and how far both are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.opjpo.pose import UnitPose
from endosfm3d_ros.tools.opjpo.search import moments
from endosfm3d_ros.tools.opjpo.target import MaskTarget
from endosfm3d_ros.tools.shapes.capsule_fit import (
    CapsuleConfig,
    CapsuleFit,
    fit_capsule,
    measured_axis,
)
from endosfm3d_ros.tools.shapes.silhouette import SilhouetteMesh, silhouettes
from endosfm3d_ros.tools.types import ToolModel, ToolObservation


@dataclass(frozen=True)
class EnteringConfig:
    """What is tried, and where the working end is looked for."""

    slices: int = 40  # along the model
    end: float = 0.3  # of the length, at each end, in which a working end may be
    pivot: float = 0.02  # m from the tip, about which the model is turned
    rolls: int = 24
    tilts: tuple[float, ...] = (-0.25, 0.0, 0.25)  # rad, about both axes across the shaft
    resolution: int = 64  # px of the window's larger side


@dataclass(frozen=True)
class WorkingEnd:
    """Where the jaws of a model are; model frame, m."""

    tip: np.ndarray  # (3,)
    axis: np.ndarray  # (3,) unit, along the shaft towards the tip
    radius: float  # of the shaft

    @classmethod
    def of(cls, model: ToolModel, axis: np.ndarray, config: EnteringConfig) -> WorkingEnd:
        """The end of a long model whose cross-section is less like the shaft's."""
        vertices = model.vertices.astype(np.float64)
        middle = np.median(vertices, axis=0)
        along = (vertices - middle) @ axis
        across = np.linalg.norm(vertices - middle - along[:, None] * axis, axis=1)
        low, high = along.min(), along.max()
        place = np.clip((along - low) / (high - low), 0, 1)
        radius = float(np.median(across))
        unlike = np.abs(across - radius)
        ends = [unlike[place < config.end].mean(), unlike[place > 1 - config.end].mean()]
        if ends[0] > ends[1]:
            axis, along, place = -axis, -along, 1 - place
        shaft = across[place < 1 - config.end]
        foremost = along > np.percentile(along, 99)
        return cls(vertices[foremost].mean(axis=0), axis, float(np.median(shaft)))

    def pivot(self, config: EnteringConfig) -> np.ndarray:
        """(3,) a point of the axis that is in sight where the tip is."""
        return self.tip - config.pivot * self.axis


def entering_poses(
    mesh: SilhouetteMesh,
    end: WorkingEnd,
    observation: ToolObservation,
    config: EnteringConfig,
) -> list[UnitPose]:
    """Poses to refine, one for each roll about the shaft.

    1. The mask's tip, direction and width, 2. how far tip and shaft are, 3. for each roll about the
    shaft, the best of some tilts, each moved sideways onto the mask.

    Args:
        mesh: vertices about the pivot of the working end.
        end: of the model.
        observation: mask, and depth on the tool where it is known.
        config: what is tried.

    Raises:
        InputError: the mask is too small, or fills the image.
    """
    fit = fit_capsule(observation.mask, CapsuleConfig())
    tip, direction = line_of_sight(fit, end, observation)
    target = MaskTarget.of(observation, config.resolution)
    aligned = _turn_between(end.axis, direction)
    poses = []
    for roll in np.linspace(0, 2 * np.pi, config.rolls, endpoint=False):
        turn = Rotation.from_rotvec(roll * direction) * aligned
        turns = [(tilt * turn).as_matrix() for tilt in _tilts(direction, config)]
        tilted = [UnitPose(R, tip - config.pivot * (R @ end.axis)) for R in turns]
        poses.append(_best(tilted, mesh, observation.camera, target))
    return poses


def line_of_sight(
    fit: CapsuleFit, end: WorkingEnd, observation: ToolObservation
) -> tuple[np.ndarray, np.ndarray]:
    """(3,) tip in the camera frame, m, and (3,) unit direction of the shaft towards it.

    By depth measured on both ends of the tool, else by how wide the shaft looks.
    """
    ends = np.array([0.0, fit.length])
    points = measured_axis(fit, ends, observation, end.radius)
    if points is None:
        points = np.array([fit.point(along, 2 * end.radius, observation.camera) for along in ends])
    tip, shaft = points
    return tip, (tip - shaft) / np.linalg.norm(tip - shaft)


def _turn_between(a: np.ndarray, b: np.ndarray) -> Rotation:
    """A rotation of unit vector a onto b."""
    turn, _ = Rotation.align_vectors(b[None], a[None])
    return turn


def _tilts(direction: np.ndarray, config: EnteringConfig) -> list[Rotation]:
    """Small turns about the two axes across the shaft."""
    across = np.cross(direction, [0.0, 0.0, 1.0])
    across /= max(float(np.linalg.norm(across)), 1e-9)
    up = np.cross(direction, across)
    return [Rotation.from_rotvec(a * across + b * up) for a in config.tilts for b in config.tilts]


def _best(
    poses: list[UnitPose], mesh: SilhouetteMesh, camera: PinholeCamera, target: MaskTarget
) -> UnitPose:
    """That with the largest overlap, once the centroids of all lie on that of the mask."""
    points = np.stack([pose.points(mesh.vertices) for pose in poses])
    positions = np.stack([pose.position for pose in poses])
    _, wanted = moments(target.mask[None])
    for _ in range(2):
        solid = silhouettes(mesh, points, camera, target.window) & target.known
        area, centroid = moments(solid)
        pixels = np.where(area[:, None] > 0, wanted - centroid, 0) * target.window.step
        shift = np.zeros_like(positions)
        shift[:, :2] = pixels / (camera.fx, camera.fy) * positions[:, 2:]
        points, positions = points + shift[:, None].astype(np.float32), positions + shift
    overlaps = target.overlaps(silhouettes(mesh, points, camera, target.window))
    best = int(np.argmax(overlaps))
    return UnitPose(poses[best].R, positions[best])
