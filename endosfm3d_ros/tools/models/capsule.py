"""A tool as a closed shaft with a tip, measured on its mask: the model that needs nothing else."""

from __future__ import annotations

import cv2
import numpy as np

from endosfm3d_ros.tools.shapes.capsule_fit import (
    CapsuleConfig,
    fit_capsule,
    measured_axis,
    measured_diameter,
)
from endosfm3d_ros.tools.shapes.mesh import outward
from endosfm3d_ros.tools.types import ToolModel, ToolObservation

GREY = (150, 150, 155)  # RGB of steel, where there is no image
SIDES = 16  # of the shaft's cross-section
END = 0.01  # m behind the tip that are the working end
STOUT = 1.0098  # radius of a 16-gon whose mean width is that of the circle


class CapsuleSource:
    """Makes a capsule of any mask."""

    name = "capsule"
    slow = False

    def __init__(self, config: CapsuleConfig | None = None) -> None:
        self.config = config or CapsuleConfig()

    def model(self, observation: ToolObservation) -> ToolModel:
        """A capsule in metres, and the pose in which it covers the mask.

        Raises:
            InputError: the mask is too small, or fills the image.
        """
        config, camera = self.config, observation.camera
        fit = fit_capsule(observation.mask, config)
        diameter = config.diameter
        if config.diameter_from_depth:
            diameter = measured_diameter(fit, observation, config) or diameter
        places = np.array([0.0, fit.tip_length, fit.length / 2, fit.length])
        axis = measured_axis(fit, places, observation, diameter / 2)
        if axis is None:
            axis = np.array([fit.point(along, diameter, camera) for along in places])
        tip, middle, total = np.linalg.norm(axis[1:] - axis[0], axis=1)
        total += config.extension * diameter
        vertices, faces = capsule_mesh(tip, fit.tip_end, total, diameter, config)
        colors = np.full(vertices.shape, mean_color(observation), np.uint8)
        birth, pivot = pose_along(axis[0], axis[-1]), np.array([middle, 0.0, 0.0])
        end = np.linspace(0, END, 8)[:, None] * [1.0, 0.0, 0.0]
        return ToolModel(
            vertices, faces, colors, self.name, True, birth, pivot, True, end, tip=np.zeros(3)
        )


def capsule_mesh(
    tip: float, tip_end: float, total: float, diameter: float, config: CapsuleConfig
) -> tuple[np.ndarray, np.ndarray]:
    """(V, 3) float32 vertices in metres, tip at the origin, shaft along +x; (F, 3) int32 faces.

    Args:
        tip: its length, m.
        tip_end: width of its end over the diameter.
        total: length with the tip, m.
        diameter: of the shaft, m.
        config: spacing of the rings.
    """
    share = np.linspace(0, 1, 5)
    rings = max(2, int(np.ceil((total - tip) / (config.ring_spacing * diameter))))
    x = np.concatenate([tip * share, np.linspace(tip, total, rings + 1)[1:]])
    width = np.concatenate([tip_end + (1 - tip_end) * np.sqrt(share), np.ones(rings)])
    return revolved(x, STOUT * diameter / 2 * width)


def revolved(
    x: np.ndarray, radius: np.ndarray, sides: int = SIDES
) -> tuple[np.ndarray, np.ndarray]:
    """Closed surface of revolution about the x axis through (n,) rings, faces outwards."""
    angle = np.arange(sides) * 2 * np.pi / sides
    circle = np.stack([np.zeros(sides), np.cos(angle), np.sin(angle)], axis=1)
    rings = radius[:, None, None] * circle + x[:, None, None] * [1.0, 0.0, 0.0]
    poles = [[x[0], 0, 0], [x[-1], 0, 0]]
    vertices = np.concatenate([rings.reshape(-1, 3), poles]).astype(np.float32)
    here = np.arange(sides)
    there, start = (here + 1) % sides, sides * np.arange(len(x) - 1)[:, None]
    a, b, c, d = start + here, start + there, start + sides + here, start + sides + there
    walls = np.stack([np.stack([a, b, c], -1), np.stack([b, d, c], -1)]).reshape(-1, 3)
    first, last = len(x) * sides, sides * (len(x) - 1)
    near = np.column_stack([np.full(sides, first), there, here])
    far = np.column_stack([np.full(sides, first + 1), last + here, last + there])
    faces = np.concatenate([walls, near, far]).astype(np.int32)
    return vertices, outward(vertices, faces)


def pose_along(tip: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(4, 4) pose with the tip there and the shaft towards the other point."""
    x = (end - tip) / np.linalg.norm(end - tip)
    y = np.cross([0.0, 0.0, 1.0], x)
    y /= np.linalg.norm(y)
    T = np.eye(4)
    T[:3, :3] = np.column_stack([x, y, np.cross(x, y)])
    T[:3, 3] = tip
    return T


def mean_color(observation: ToolObservation) -> tuple[float, ...]:
    """RGB of the tool."""
    if observation.image is None:
        return GREY
    return cv2.mean(observation.image, observation.mask.astype(np.uint8))[:3]
