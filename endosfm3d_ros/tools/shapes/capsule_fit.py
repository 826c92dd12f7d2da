"""A mask measured as a shaft with a tip: axis, width, and how far it is where depth is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.stats import theilslopes

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.types import ToolObservation

END = 0.3  # of the mask's length, at each end, in which depth is averaged


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


def measured_axis(
    fit: CapsuleFit, places: np.ndarray, observation: ToolObservation, radius: float
) -> np.ndarray | None:
    """(N, 3) camera points of the axis, m, at places in pixels from the tip, by measured depth.

    The inverse depth of a straight axis is linear along its image; it is measured at both ends of
    the mask. None where depth is not known at both.

    Args:
        fit: of the mask.
        places: (N,) along it.
        observation: with depth on the tool.
        radius: by which the axis lies behind the surface that is seen, m.
    """
    if observation.tool_depth is None:
        return None
    rows, columns = np.nonzero(observation.mask & np.isfinite(observation.tool_depth))
    along = (np.column_stack([columns, rows]) - fit.tip) @ fit.direction
    ends = np.array([END / 2, 1 - END / 2]) * fit.length
    near = [np.abs(along - end) < END / 2 * fit.length for end in ends]
    if min(np.count_nonzero(each) for each in near) < CapsuleConfig.min_pixels:
        return None
    depths = observation.tool_depth[rows, columns]
    inverse = 1 / (np.array([np.median(depths[each]) for each in near]) + radius)
    slope = np.diff(inverse) / np.diff(ends)
    inverse = np.maximum(inverse[0] + slope * (places - ends[0]), 1.0)
    pixels = fit.tip + places[:, None] * fit.direction
    return observation.camera.unproject(pixels) / inverse[:, None]
