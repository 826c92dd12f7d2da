"""How large a model is: its unit in metres, from depth and from what is known beforehand.

A silhouette fixes the pose in model units only. Depth on the tool gives the scale directly; depth
of the tissue behind it bounds it, because the tool lies in front, mostly close to it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.shapes.silhouette import project
from endosfm3d_ros.tools.types import ToolModel, ToolObservation, ToolPlacement


@dataclass(frozen=True)
class ScaleConfig:
    """Deviations are 1 sigma over the scale."""

    metric_deviation: float = 0.01  # of a model in metres: its size is known, depth only guessed
    depth_deviation: float = 0.05  # of depth measured on the tool: shiny metal
    contact_deviation: float = 0.15  # of assuming that the tool just clears the tissue
    drift: float = 0.01  # grows between two frames
    contact_percentile: float = 5.0  # of the room that tissue leaves: outliers of depth
    clearance: float = 0.97  # of that room is taken where nothing else is known
    min_samples: int = 20  # model points with known depth
    cell: int = 4  # px, in which the nearest of the model's points hides the others


@dataclass(frozen=True)
class Scale:
    """Metres per model unit."""

    value: float
    deviation: float  # 1 sigma over the value
    limit: float = np.inf  # beyond which the tool would enter the tissue


def scale_of(
    points: np.ndarray,
    model: ToolModel,
    observation: ToolObservation,
    previous: ToolPlacement | None,
    config: ScaleConfig,
) -> Scale | None:
    """The most likely scale, or None where nothing says anything about it.

    Args:
        points: (V, 3) posed model vertices in the camera frame, model units.
        model: whether its unit is the metre.
        observation: with tissue depth, tool depth, or neither.
        previous: placement of the same model in an earlier frame.
        config: what to believe how much.
    """
    room = depth_ratios(points, observation, observation.tissue_depth, config)
    seen = np.empty(0)
    if observation.tool_depth is not None:
        surface = front(points, observation, config)
        seen = depth_ratios(surface, observation, observation.tool_depth, config)
    limit = lowest(room, config.contact_percentile) if len(room) else np.inf
    beliefs = []
    if model.metric:
        beliefs.append((1.0, config.metric_deviation))
    elif previous is not None and previous.valid:
        beliefs.append((previous.scale, previous.scale_deviation + config.drift))
    if len(seen):
        beliefs.append((float(np.median(seen)), config.depth_deviation))
    elif np.isfinite(limit):
        beliefs.append((config.clearance * limit, config.contact_deviation))
    if not beliefs:
        return None
    value, deviation = combined(beliefs)
    bounded = min(value, max(limit, value * (1 - 2 * deviation)))
    return Scale(bounded, deviation, limit)


def lowest(values: np.ndarray, percentile: float) -> float:
    """The value of that rank; `np.percentile` takes five times as long to interpolate."""
    rank = int(percentile / 100 * (len(values) - 1))
    return float(np.partition(values, rank)[rank])


def combined(beliefs: list[tuple[float, float]]) -> tuple[float, float]:
    """Value and relative deviation of independent beliefs about one positive number."""
    values, deviations = np.array(beliefs).T
    weights = deviations**-2
    return float(np.exp(np.average(np.log(values), weights=weights))), float(weights.sum() ** -0.5)


def depth_ratios(
    points: np.ndarray,
    observation: ToolObservation,
    depth: np.ndarray | None,
    config: ScaleConfig,
) -> np.ndarray:
    """(N,) scales at which model points in the mask reach the depth seen there; empty if few."""
    if depth is None:
        return np.empty(0)
    column, row, inside = pixels_of(points, observation.camera)
    inside[inside] = observation.mask[row[inside], column[inside]]
    seen = depth[row[inside], column[inside]]
    known = np.isfinite(seen) & (seen > 0)
    ratios = seen[known] / points[inside, 2][known]
    return ratios if len(ratios) >= config.min_samples else np.empty(0)


def front(points: np.ndarray, observation: ToolObservation, config: ScaleConfig) -> np.ndarray:
    """(N, 3) the nearest of the points in each small cell of the image."""
    column, row, inside = pixels_of(points, observation.camera)
    near = np.nonzero(inside)[0]
    near = near[np.argsort(points[near, 2])]
    cell = (row[near] // config.cell) * observation.camera.width + column[near] // config.cell
    _, first = np.unique(cell, return_index=True)
    return points[near[first]]


def pixels_of(
    points: np.ndarray, camera: PinholeCamera
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Column, row and whether inside the image, (N,) each; 0, 0 where not."""
    pixels, ahead = project(points, camera)
    inside = ahead & ((pixels > -0.5) & (pixels < np.array(camera.size) - 0.5)).all(axis=1)
    column, row = np.rint(np.where(inside[:, None], pixels, 0)).astype(np.intp).T
    return column, row, inside
