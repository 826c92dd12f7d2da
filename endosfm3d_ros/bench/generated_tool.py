"""An instrument made by rule, with masks and tissue depth at poses that are known exactly."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.models.capsule import revolved
from endosfm3d_ros.tools.models.lrm.frame import source_view
from endosfm3d_ros.tools.shapes.silhouette import silhouette
from endosfm3d_ros.tools.types import ToolModel, ToolObservation, ToolPlacement

CAMERA = PinholeCamera(640, 512, 569.0, 569.0, 320.0, 256.0)
SCALE = 0.03  # m per model unit
TISSUE = 0.08  # m, depth of a plane behind the tool, tilted by a tenth


def generated_model(rings: int = 160, sides: int = 32) -> ToolModel:
    """A shaft with two unequal jaws, about 1.3 units long, as a reconstruction would give it."""
    shaft = tube(np.array([0.55, 0.1, 0.1]), np.array([-0.1, 0.0, 0.0]), (0.09, 0.1), rings, sides)
    jaws = (
        tube(np.zeros(3), np.array([-0.6, tilt, 0.05 * tilt]), (0.06, thin), rings // 2, sides)
        for tilt, thin in ((0.18, 0.015), (-0.12, 0.025))
    )
    parts = [shaft, *jaws]
    offsets = np.cumsum([0, *(len(vertices) for vertices, _ in parts)])
    vertices = np.concatenate([vertices for vertices, _ in parts]).astype(np.float32)
    faces = np.concatenate([faces + offset for (_, faces), offset in zip(parts, offsets)])
    colors = np.full(vertices.shape, 160, np.uint8)
    return ToolModel(vertices, faces.astype(np.int32), colors, "lrm", False, source_view())


def tube(
    start: np.ndarray, end: np.ndarray, radii: tuple[float, float], rings: int, sides: int
) -> tuple[np.ndarray, np.ndarray]:
    """Closed tube between two points with a radius at each."""
    along = end - start
    x = np.linspace(0, float(np.linalg.norm(along)), rings)
    vertices, faces = revolved(x, np.linspace(*radii, rings), sides)
    turn, _ = Rotation.align_vectors(along[None] / x[-1], [[1.0, 0.0, 0.0]])
    return turn.apply(vertices) + start, faces


def placed(model: ToolModel, rotation: np.ndarray, position: np.ndarray) -> ToolPlacement:
    """The true placement: a rotation vector, and where the model's origin is, m."""
    R = Rotation.from_rotvec(rotation).as_matrix()
    covariance = np.zeros((6, 6))
    return ToolPlacement(R, np.asarray(position, float), SCALE, 1.0, covariance, 0.05, True)


def observed(
    model: ToolModel, placement: ToolPlacement, camera: PinholeCamera = CAMERA
) -> ToolObservation:
    """The exact mask of a placement, before tissue of known depth."""
    mask = silhouette(placement.points(model.vertices), model.faces, camera)
    columns = np.linspace(-0.1, 0.1, camera.width)
    depth = np.tile(TISSUE * (1 + columns), (camera.height, 1)).astype(np.float32)
    return ToolObservation(mask, camera, depth)


def motion(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rotation vectors and positions of a hand that moves back and forth, about 3 mm/frame."""
    phase = 2 * np.pi * np.arange(count) / count
    return [
        (
            np.array([0.05 * np.sin(p), 0.1 * np.cos(p), 0.2 * np.sin(p)]),
            np.array([0.006 * np.cos(p), 0.004 * np.sin(p), 0.062 + 0.002 * np.sin(p)]),
        )
        for p in phase
    ]
