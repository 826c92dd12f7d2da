"""Depth measured on a tool, as residuals of the pose of a model whose unit is the metre.

A silhouette says little of the distance of a model that is not quite the tool's shape: a capsule
in place of open jaws fits best several centimetres too far. Stereo sees how far the tool is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.opjpo.pose import UnitPose
from endosfm3d_ros.tools.opjpo.scale import pixels_of
from endosfm3d_ros.tools.types import ToolModel


@dataclass(frozen=True)
class DepthConfig:
    """How much measured depth counts beside the contour."""

    points: int = 400  # of the model's surface that are compared, seen or not
    facing: float = 0.3  # cosine to the line of sight, from which on a point shows its depth
    min_points: int = 20  # with known depth
    deviation: float = 0.05  # 1 sigma over the depth: shiny metal
    independent: float = 40.0  # neighbouring pixels err alike: so many count
    robust: float = 0.1  # of the depth; residuals far beyond have little weight (Cauchy)
    cost: float = 2.0  # of overlap, for a gap as large as the depth, beyond the deviation


@dataclass(frozen=True)
class Gaps:
    """How far the points of a posed model that face the camera are from the depth seen there."""

    points: np.ndarray  # (N, 3) m, camera frame
    relative: np.ndarray  # (N,) distance behind the measured depth, over that depth
    chosen: np.ndarray  # (N,) which of the model's points they are

    @property
    def median(self) -> float:
        """Over all points; NaN where too few have depth."""
        return float(np.median(self.relative)) if len(self.relative) else np.nan


class MeasuredDepth:
    """The depth of one image or of a window of it.

    Args:
        points: (N, 3) of the model's surface about its pivot.
        normals: (N, 3) outwards.
        camera: of the pixels of `depth`.
        depth: (h, w) measured on the tool, m, NaN unknown.
        config: what to believe how much.
    """

    def __init__(
        self,
        points: np.ndarray,
        normals: np.ndarray,
        camera: PinholeCamera,
        depth: np.ndarray,
        config: DepthConfig,
    ) -> None:
        self._points, self._normals = points, normals
        self._camera, self._depth, self._config = camera, depth, config

    def gaps(self, pose: UnitPose) -> Gaps:
        """Of the points that face the camera where depth is known; empty where they are few."""
        normals = self._normals @ pose.R.T.astype(np.float32)
        return self.gaps_at(pose.points(self._points), normals)

    def gaps_at(self, points: np.ndarray, normals: np.ndarray) -> Gaps:
        """The same of (N, 3) points with (N, 3) normals in the camera frame."""
        towards = -(points * normals).sum(axis=1)
        shown = np.nonzero(towards > self._config.facing * np.linalg.norm(points, axis=1))[0]
        column, row, inside = pixels_of(points[shown], self._camera)
        depth = self._depth[row[inside], column[inside]]
        known = (depth > 0) & np.isfinite(depth)
        chosen, depth = shown[inside][known], depth[known]
        if len(chosen) < self._config.min_points:
            return Gaps(np.empty((0, 3)), np.empty(0), np.empty(0, np.intp))
        return Gaps(points[chosen], points[chosen, 2] / depth - 1, chosen)

    def cost(self, gaps: Gaps) -> float:
        """What they cost of the overlap; nothing where they are small or unknown."""
        beyond = abs(gaps.median) - self._config.deviation
        return self._config.cost * beyond if beyond > 0 else 0.0

    def equations(self, gaps: Gaps, pose: UnitPose) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N, 6) change of the gaps with the pose, (N,) gaps and (N,) weights.

        Gaps are in deviations, which count like pixels of a contour with its noise of about one.
        """
        config = self._config
        depth = gaps.points[:, 2] / (1 + gaps.relative)
        x, y, _ = (gaps.points - pose.position).T
        nothing = np.zeros_like(x)
        rows = [y, -x, nothing, nothing, nothing, np.full_like(x, pose.position[2])]
        weights = config.independent / len(depth) / (1 + (gaps.relative / config.robust) ** 2)
        unit = config.deviation
        return np.array(rows).T / (unit * depth[:, None]), gaps.relative / unit, weights


def surface_samples(
    model: ToolModel, pivot: np.ndarray, config: DepthConfig
) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) points about the pivot and (N, 3) normals of a model's surface."""
    surface, chosen = model.surface, slice(config.points)  # they are in random order
    return surface.points[chosen] - pivot.astype(np.float32), surface.normals[chosen]
