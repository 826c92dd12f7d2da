"""A tool as a closed shaft with a tip, measured on its mask: the model that needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.stats import theilslopes

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.mesh import outward
from endosfm3d_ros.tools.types import ToolModel, ToolObservation

GREY = (150, 150, 155)  # RGB of steel, where there is no image
SIDES = 16  # of the shaft's cross-section
STOUT = 1.0098  # radius of a 16-gon whose mean width is that of the circle


@dataclass(frozen=True)
class CapsuleConfig:
    """Lengths in metres, or in diameters of the shaft where they say so."""

    diameter: float = 0.008  # da Vinci instruments
    diameter_from_depth: bool = False  # True: from depth measured on the tool, where it is known
    plausible: tuple[float, float] = (0.003, 0.015)  # m, of a diameter from depth
    slices: int = 32  # across the mask, along its axis
    shaft_share: float = 0.6  # of the mask from its outer end in which the shaft is looked for
    min_slices: int = 6  # of the shaft, to see it grow towards the camera
    taper: tuple[float, float] = (0.8, 1.8)  # width at the outer end over that at the tip
    tip_width: float = 0.9  # of the shaft's width, where the tip begins
    tip_length: tuple[float, float] = (0.3, 3.0)  # diameters, at least and at most
    tip_end: tuple[float, float] = (0.15, 0.9)  # of the shaft's width, at least and at most
    extension: float = 8.0  # diameters that the shaft goes on beyond the image
    ring_spacing: float = 0.75  # diameters
    min_pixels: int = 64


@dataclass(frozen=True)
class CapsuleFit:
    """The measures of a mask, in pixels along its axis from the tip."""

    tip: np.ndarray  # (2,)
    direction: np.ndarray  # (2,) unit, from the tip along the shaft
    length: float
    width: float  # that the shaft would have at the tip
    growth: float  # of that width per pixel, by perspective
    tip_length: float
    tip_end: float  # width at the end of the tip over that of the shaft

    def point(self, along: float, diameter: float, camera: PinholeCamera) -> np.ndarray:
        """(3,) camera point of the axis, m: a shaft of that diameter has the width seen there."""
        focal = (camera.fx + camera.fy) / 2
        depth = focal * diameter / (self.width + self.growth * along)
        return camera.unproject((self.tip + along * self.direction)[None])[0] * depth


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
        places = (0.0, fit.tip_length, fit.length / 2, fit.length)
        axis = np.array([fit.point(along, diameter, camera) for along in places])
        tip, middle, total = np.linalg.norm(axis[1:] - axis[0], axis=1)
        total += config.extension * diameter
        vertices, faces = capsule_mesh(tip, fit.tip_end, total, diameter, config)
        colors = np.full(vertices.shape, mean_color(observation), np.uint8)
        birth, pivot = pose_along(axis[0], axis[-1]), np.array([middle, 0.0, 0.0])
        return ToolModel(vertices, faces, colors, self.name, True, birth, pivot)


def fit_capsule(mask: np.ndarray, config: CapsuleConfig) -> CapsuleFit:
    """Axis, width and tip of a mask.

    1. The long axis by moments, 2. its outer end: where the mask leaves the image, else the wider
    one, 3. widths of slices across the axis, 4. the line that the shaft's widths follow, 5. where
    the tip begins.

    Raises:
        InputError: fewer than `min_pixels`, or all pixels.
    """
    rows, columns = np.nonzero(mask)
    if len(rows) < config.min_pixels or len(rows) == mask.size:
        raise InputError(
            f"mask of {len(rows)} of {mask.size} pixels: a shaft is measured on at least "
            f"{config.min_pixels}, and on its contour"
        )
    pixels = np.column_stack([columns, rows]).astype(float)
    centre = pixels.mean(axis=0)
    _, axes = np.linalg.eigh(np.cov(pixels.T))
    direction, at_border = axes[:, 1], on_border(pixels, mask.shape)
    along = (pixels - centre) @ direction
    outer = along[at_border].mean() if at_border.any() else -(along**3).mean()
    if outer < 0:
        direction, along = -direction, -along
    low, high = np.percentile(along, (0.2, 99.8))
    length = max(float(high - low), 1.0)
    edges = low + length * np.linspace(0, 1, config.slices + 1)
    place = (edges[1:] + edges[:-1]) / 2 - low
    widths = np.histogram(along, edges)[0] * config.slices / length
    whole = np.histogram(along[at_border], edges)[0] == 0  # not cut by the image border
    width, growth = shaft_line(place, widths, whole, config)
    shape = widths / (width + growth * place)
    begin = float(place[np.argmax(shape >= config.tip_width)])
    shortest, longest = np.multiply(config.tip_length, width)
    end = float(np.clip(shape[: max(1, config.slices // 16)].mean(), *config.tip_end))
    tip_length = min(max(begin, shortest), longest, length)
    return CapsuleFit(centre + low * direction, direction, length, width, growth, tip_length, end)


def shaft_line(
    place: np.ndarray, widths: np.ndarray, whole: np.ndarray, config: CapsuleConfig
) -> tuple[float, float]:
    """Width at the tip and its growth per pixel, by a robust line through the shaft's slices."""
    length = place[-1] + place[0]
    shaft = (place > (1 - config.shaft_share) * length) & whole
    if shaft.sum() < config.min_slices:
        return max(float(np.percentile(widths, 75)), 1.0), 0.0
    growth, width, *_ = theilslopes(widths[shaft], place[shaft])
    middle = width + growth * length / 2
    most, least = ((ratio - 1) / (ratio + 1) * 2 / length for ratio in config.taper[::-1])
    growth = float(np.clip(growth, least * middle, most * middle))
    return max(float(middle - growth * length / 2), 1.0), growth


def on_border(pixels: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """(N,) bool: pixels in the two outermost rows and columns."""
    last = np.array(shape[::-1]) - 3
    return ((pixels < 2) | (pixels > last)).any(axis=1)


def measured_diameter(
    fit: CapsuleFit, observation: ToolObservation, config: CapsuleConfig
) -> float | None:
    """Metres across the shaft, by the median depth measured on the tool."""
    if observation.tool_depth is None:
        return None
    depth = observation.tool_depth[observation.mask]
    depth = depth[np.isfinite(depth) & (depth > 0)]
    if len(depth) < config.min_pixels:
        return None
    one = fit.point(fit.length / 2, 1.0, observation.camera)[2]  # distance of a shaft of a metre
    return float(np.clip(np.median(depth) / one, *config.plausible))


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
