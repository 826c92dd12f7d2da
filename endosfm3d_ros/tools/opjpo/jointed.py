"""The alignment of a jointed model: pose of the shaft and angles of the joints in one fit.

The residuals are those of `refine` and `measured`; every point moves with the pose and with the
joints before it. Silhouettes of a jaw that points towards the camera and of one that points away
are alike, so depth on the metal counts for all models here, not only for rough ones.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from endosfm3d_ros.tools.opjpo.measured import DepthConfig, Gaps, MeasuredDepth
from endosfm3d_ros.tools.opjpo.outline import Outline, outline_of
from endosfm3d_ros.tools.opjpo.prepared import DOF, JointedPose, Prepared, chained
from endosfm3d_ros.tools.opjpo.refine import MIN_POINTS, closest
from endosfm3d_ros.tools.opjpo.target import MaskTarget, sampled
from endosfm3d_ros.tools.shapes.silhouette import Contours, filled, project
from endosfm3d_ros.tools.types import ToolObservation


@dataclass(frozen=True)
class JointedConfig:
    """Deviations are 1 sigma; pixels are those of the window."""

    iterations: int = 3
    outline_points: int = 140
    contour_points: int = 90
    robust: float = 3.0  # px
    noise: float = 1.0  # px
    independent: float = 80.0
    rotation: float = 0.1  # rad, of the expected pose
    translation: float = 0.1  # of the distance, of the expected pose
    joint: float = 0.15  # rad, of the expected joints
    settled: float = 0.08  # px
    bounds: tuple[float, float, float] = (0.2, 0.15, 0.35)  # of one step: rad, distance, rad
    depth_cost: float = 2.0  # of overlap, for gaps of the whole depth
    hidden_cost: float = 0.3  # of overlap, for as much behind other tools as the mask has
    capped: float = 0.1  # of the depth: larger gaps count as this
    hidden: float = 0.002  # m behind the nearest point of a cell, from which a point is hidden
    cell: int = 3  # px
    depth: DepthConfig = field(
        default_factory=lambda: DepthConfig(deviation=0.015, independent=60.0, robust=0.04)
    )


@dataclass(frozen=True)
class JointedFit:
    """A pose, how well it fits, and how well it is determined."""

    pose: JointedPose
    iou: float
    merit: float  # overlap less the cost of depth
    gap: float  # median of the model behind the measured depth, over it; NaN unknown
    information: np.ndarray = field(repr=False)  # (9, 9), without the expectation


@dataclass(frozen=True)
class _Seen:
    """One pose as the window shows it."""

    points: np.ndarray  # (V, 3) camera frame
    contours: Contours
    mask: np.ndarray  # (1, h, w) bool
    iou: float
    gaps: Gaps | None
    merit: float


class Expectation:
    """What a pose and its joints are held to.

    Args:
        pose: expected.
        config: how firmly.
        usual: (3,) angles that joints mostly have, and (3,) how far they mostly stray from them.
    """

    def __init__(
        self, pose: JointedPose, config: JointedConfig, usual: tuple[np.ndarray, np.ndarray]
    ) -> None:
        self.pose = pose
        self.firm = np.repeat([config.rotation, config.translation, config.joint], 3) ** -2.0
        self.usual, self.weak = usual[0], usual[1] ** -2.0

    def terms(self, pose: JointedPose) -> tuple[np.ndarray, np.ndarray]:
        """(9,) diagonal information and (9,) gradient at a pose."""
        gradient = self.firm * pose.step_from(self.pose)
        gradient[6:] += self.weak * (pose.joints - self.usual)
        matrix = self.firm.copy()
        matrix[6:] += self.weak
        return matrix, gradient


class JointedRefiner:
    """Fits one model to one target.

    Args:
        prepared: the model.
        observation: mask, and depth where it is known.
        resolution: px of the window's larger side.
        config: settings.
    """

    def __init__(
        self,
        prepared: Prepared,
        observation: ToolObservation,
        resolution: int,
        config: JointedConfig,
    ) -> None:
        self.prepared, self.config = prepared, config
        self.target = MaskTarget.of(observation, resolution)
        self.camera = self.target.window.camera(observation.camera)
        self.contour = self.target.contour(config.contour_points)
        self.depth: MeasuredDepth | None = None
        self.sees_depth = False
        if observation.tool_depth is not None:
            seen = sampled(observation.tool_depth, self.target.window)
            self.sees_depth = np.count_nonzero(seen > 0) > 0.1 * self.target.area
            self.depth = MeasuredDepth(
                prepared.samples, prepared.normals, self.camera, seen, config.depth
            )

    def run(self, start: JointedPose, expected: Expectation | None = None) -> JointedFit:
        """The pose with the most merit among those that the iterations meet."""
        linkage = self.prepared.model.linkage
        expected = expected or Expectation(start, self.config, (linkage.usual, linkage.spread))
        pose, best = start, None
        for last in range(self.config.iterations, -1, -1):
            seen = self.seen(pose)
            outline = self.outline(seen)
            if len(outline.pixels) < MIN_POINTS:
                break
            information, gradient, weight = self.equations(outline, seen, pose)
            if best is None or seen.merit > best.merit:
                gap = seen.gaps.median if seen.gaps else np.nan
                best = JointedFit(pose, seen.iou, seen.merit, gap, information)
            if not last:
                break
            step = self.step(information, gradient, expected.terms(pose))
            pose = pose.moved(step)
            pose = replace(pose, joints=linkage.within(pose.joints))
            if step @ information @ step / weight < self.config.settled**2:
                break
        return best or JointedFit(start, 0.0, -1.0, np.nan, np.zeros((DOF, DOF)))

    def step(
        self,
        information: np.ndarray,
        gradient: np.ndarray,
        expected: tuple[np.ndarray, np.ndarray],
    ) -> np.ndarray:
        """(9,) bounded Gauss-Newton step; joints that do not move stay."""
        matrix, total = information + np.diag(expected[0]), gradient + expected[1]
        free = np.concatenate([np.ones(6, bool), self.prepared.model.linkage.free])
        step = np.zeros(DOF)
        step[free] = -np.linalg.solve(matrix[np.ix_(free, free)], total[free])
        size = np.sqrt((step.reshape(3, 3) ** 2).sum(axis=1))
        return step * min(1.0, *(self.config.bounds / np.maximum(size, 1e-12)))

    def seen(self, pose: JointedPose) -> _Seen:
        """What the window shows of the model."""
        points = self.prepared.vertices(pose)
        pixels, front = project(points, self.camera)
        contours = self.prepared.mesh.contours(pixels[None], front[None])
        mask = filled(contours, 1, *self.camera.size)
        iou = float(self.target.overlaps(mask)[0])
        gaps = self.gaps(pose) if self.depth else None
        merit = iou - self.cost(gaps) - self.config.hidden_cost * self.hidden(mask[0])
        return _Seen(points, contours, mask, iou, gaps, merit)

    def hidden(self, solid: np.ndarray) -> float:
        """Share of the mask that the silhouette has behind other tools, where nothing speaks."""
        if not self.target.hides:
            return 0.0
        return np.count_nonzero(solid & ~self.target.known) / max(1, self.target.area)

    def gaps(self, pose: JointedPose) -> Gaps:
        """To the measured depth, of points that nothing of the model hides."""
        gaps = self.depth.gaps_at(*self.prepared.surface(pose))
        if not len(gaps.relative):
            return gaps
        pixels = project(gaps.points.astype(np.float32), self.camera)[0]
        column, row = (pixels // self.config.cell).astype(np.intp).T
        _, cell = np.unique(row * 100_000 + column, return_inverse=True)
        nearest = np.full(cell.max() + 1, np.inf)
        np.minimum.at(nearest, cell, gaps.points[:, 2])
        shown = gaps.points[:, 2] < nearest[cell] + self.config.hidden
        return Gaps(gaps.points[shown], gaps.relative[shown], gaps.chosen[shown])

    def cost(self, gaps: Gaps | None) -> float:
        """Of overlap, for what lies before or behind the measured depth."""
        if gaps is None:
            return 0.0
        if not len(gaps.relative):  # there is depth, and the model is elsewhere
            return self.config.depth_cost * self.config.capped if self.sees_depth else 0.0
        capped = np.minimum(np.abs(gaps.relative), self.config.capped)
        return self.config.depth_cost * float(capped.mean())

    def outline(self, seen: _Seen) -> Outline:
        """Points on the outer contour where the mask says something."""
        edges = self.prepared.mesh.edges
        ends = seen.points[edges.vertices[seen.contours.edge]]
        outline = outline_of(seen.contours, ends, seen.mask[0], self.config.outline_points)
        outline = outline.seen_by(self.camera)
        return outline.kept(self.target.informative(outline.pixels))

    def equations(
        self, outline: Outline, seen: _Seen, pose: JointedPose
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """(9, 9) information, (9,) gradient and the sum of the weights."""
        config = self.config
        distance, slope = self.target.distances(outline.pixels)
        nearest = closest(self.contour, outline.pixels)
        back = outline.normals[nearest]
        gap = ((outline.pixels[nearest] - self.contour) * back).sum(axis=1)
        residuals = np.concatenate([distance, gap])
        shares = np.concatenate([outline.weights, np.full(len(gap), 1 / max(1, len(gap)))])
        weights = shares / (1 + (residuals / config.robust) ** 2)
        weights *= config.independent / 2 / config.noise**2
        points = np.concatenate([outline.points, outline.points[nearest]])
        links = self.prepared.edge_links[outline.edges]
        links = np.concatenate([links, links[nearest]])
        rows = self.image_rows(points, np.concatenate([slope, back]), links, pose)
        if seen.gaps and len(seen.gaps.relative):
            more, gaps, heavy = self.depth_rows(seen.gaps, pose)
            rows, residuals = np.concatenate([rows, more]), np.concatenate([residuals, gaps])
            weights = np.concatenate([weights, heavy])
        weighted = rows * weights[:, None]
        return weighted.T @ rows, weighted.T @ residuals, float(weights.sum())

    def image_rows(
        self, points: np.ndarray, normals: np.ndarray, links: np.ndarray, pose: JointedPose
    ) -> np.ndarray:
        """(N, 9) change along (N, 2) normals of where (N, 3) points of links are seen."""
        z = points[:, 2]
        across = normals[:, 0] * self.camera.fx / z
        down = normals[:, 1] * self.camera.fy / z
        away = -(across * points[:, 0] + down * points[:, 1]) / z
        return chained(np.stack([across, down, away], 1), points, links, pose, self.prepared)

    def depth_rows(
        self, gaps: Gaps, pose: JointedPose
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(N, 9) change of the gaps with the pose, (N,) gaps in deviations and (N,) weights."""
        config = self.config.depth
        seen = gaps.points[:, 2] / (1 + gaps.relative)
        toward = np.zeros_like(gaps.points)
        toward[:, 2] = 1 / (config.deviation * seen)
        rows = chained(
            toward, gaps.points, self.prepared.sample_links[gaps.chosen], pose, self.prepared
        )
        weights = config.independent / len(seen) / (1 + (gaps.relative / config.robust) ** 2)
        return rows, gaps.relative / config.deviation, weights
