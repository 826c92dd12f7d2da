"""Gauss-Newton on the contour: the silhouette's outline onto the mask's, and back.

Residuals of a pose are, in window pixels and along the normal,
1. the distance of points on the model's outline from the mask's contour, and
2. the distance of points on the mask's contour from the model's outline,
both robustly weighted, 3. the step away from where the pose was expected, and, where a model has
only roughly the tool's shape, 4. how far it lies behind the depth measured on it (`measured`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.opjpo.measured import Gaps, MeasuredDepth
from endosfm3d_ros.tools.opjpo.outline import Outline, outline_of
from endosfm3d_ros.tools.opjpo.pose import UnitPose
from endosfm3d_ros.tools.opjpo.search import follow_moments
from endosfm3d_ros.tools.opjpo.target import MaskTarget
from endosfm3d_ros.tools.shapes.silhouette import Contours, SilhouetteMesh, filled, project

MIN_POINTS = 8  # on the outline


@dataclass(frozen=True)
class RefineConfig:
    """Chosen on generated tools; the expectation is a prior that noise cannot be fitted against."""

    iterations: int = 4
    jump_iou: float = 0.0  # overlap of the start, below which it is moved onto the mask first
    outline_points: int = 200
    contour_points: int = 100
    robust: float = 3.0  # window px; residuals far beyond have little weight (Cauchy)
    noise: float = 1.0  # window px, of the mask's contour
    independent: float = 60.0  # neighbouring contour points err alike: so many count
    rotation: float = 0.5  # rad, 1 sigma of the expected pose
    translation: float = 0.3  # of the distance, 1 sigma of the expected pose
    settled: float = 0.1  # window px, mean over the contour; a smaller step is the last
    max_rotation: float = 0.25  # rad in one iteration
    max_translation: float = 0.2  # of the distance in one iteration


@dataclass(frozen=True)
class Refined:
    """The best pose met, its overlap in the window, and how well it is determined."""

    pose: UnitPose
    iou: float
    information: np.ndarray = field(repr=False)  # (6, 6) of a step, without the expectation
    merit: float = -np.inf  # overlap less the cost of the gap: what poses are compared by


@dataclass(frozen=True)
class Solid:
    """The silhouette of one pose."""

    points: np.ndarray  # (V, 3) vertices in the camera frame, model units
    contours: Contours
    mask: np.ndarray  # (1, h, w) bool
    iou: float
    gaps: Gaps | None  # to the depth measured on the tool, where that guides


@dataclass(frozen=True)
class Equations:
    """Linearised residuals: `rows @ step + residuals`, with the weight of each."""

    rows: np.ndarray  # (N, 6)
    residuals: np.ndarray  # (N,)
    weights: np.ndarray  # (N,)

    @cached_property
    def information(self) -> np.ndarray:
        """(6, 6) of the step."""
        return (self.rows * self.weights[:, None]).T @ self.rows

    def change(self, step: np.ndarray) -> float:
        """Weighted root mean square of what a (6,) step does to the residuals."""
        return float(np.sqrt(step @ self.information @ step / self.weights.sum()))

    @property
    def gradient(self) -> np.ndarray:
        """(6,) of half the weighted sum of squares."""
        return self.rows.T @ (self.weights * self.residuals)


class Refiner:
    """Fits one model to one target."""

    def __init__(
        self,
        mesh: SilhouetteMesh,
        camera: PinholeCamera,
        target: MaskTarget,
        config: RefineConfig,
        depth: MeasuredDepth | None = None,
    ) -> None:
        self.mesh, self.image, self.target, self.config = mesh, camera, target, config
        self.depth = depth
        self.camera = target.window.camera(camera)
        self.contour = target.contour(config.contour_points)

    def run(self, start: UnitPose, expected: UnitPose | None = None) -> Refined:
        """The pose with the most merit among those that the iterations meet.

        Args:
            start: where they begin; with too little overlap it is moved onto the mask first.
            expected: what the prior holds the pose to; the start if nothing else is known.
        """
        pose, solid = start, self.silhouette(start)
        if solid.iou < self.config.jump_iou:
            pose = self.onto_mask(start, solid)
            solid = self.silhouette(pose)
        expected = expected or pose
        best = Refined(start, -1.0, np.zeros((6, 6)))
        remaining = self.config.iterations
        while remaining >= 0:
            better = self.merit(solid) > best.merit
            if not (better or remaining):
                break
            outline = self.outline(solid)
            if len(outline.pixels) < MIN_POINTS:
                break
            equations = self.equations(outline, solid, pose)
            if better:
                information, merit = equations.information, self.merit(solid)
                best = Refined(pose, solid.iou, information, merit)
            if remaining:
                step = self.step(equations, pose.step_from(expected))
                pose = pose.moved(step)
                solid = self.silhouette(pose)
                if equations.change(step) < self.config.settled:
                    remaining = 1
            remaining -= 1
        return best

    def silhouette(self, pose: UnitPose) -> Solid:
        """What is seen of the model in the window."""
        points = pose.points(self.mesh.vertices)
        pixels, front = project(points, self.camera)
        contours = self.mesh.contours(pixels[None], front[None])
        mask = filled(contours, 1, *self.camera.size)
        gaps = self.depth.gaps(pose) if self.depth else None
        return Solid(points, contours, mask, float(self.target.overlaps(mask)[0]), gaps)

    def merit(self, solid: Solid) -> float:
        """Overlap, less what it costs to lie before or behind the measured depth."""
        return solid.iou - (self.depth.cost(solid.gaps) if solid.gaps else 0.0)

    def outline(self, solid: Solid) -> Outline:
        """Points on the outer contour where the mask says something."""
        ends = solid.points[self.mesh.edges.vertices[solid.contours.edge]]
        outline = outline_of(solid.contours, ends, solid.mask[0], self.config.outline_points)
        outline = outline.seen_by(self.camera)
        return outline.kept(self.target.informative(outline.pixels))

    def onto_mask(self, pose: UnitPose, solid: Solid) -> UnitPose:
        """The pose moved so that the silhouette gets area and centroid of the mask."""
        position = follow_moments(pose.position[None], solid.mask, self.image, self.target)[0]
        return UnitPose(pose.R, position)

    def equations(self, outline: Outline, solid: Solid, pose: UnitPose) -> Equations:
        """Residuals of the contour, and of the depth where there is some."""
        contour = self.contour_equations(outline, pose)
        if not (solid.gaps and len(solid.gaps.relative)):
            return contour
        rows, residuals, weights = self.depth.equations(solid.gaps, pose)
        # a contour that the model cannot follow says less of the distance
        misfit = np.average(contour.residuals**2, weights=contour.weights) / self.config.noise**2
        return Equations(
            np.concatenate([contour.rows, rows]),
            np.concatenate([contour.residuals, residuals]),
            np.concatenate([contour.weights / max(1.0, misfit), weights]),
        )

    def contour_equations(self, outline: Outline, pose: UnitPose) -> Equations:
        """Residuals of the outline and of the mask's contour."""
        distance, gradient = self.target.distances(outline.pixels)
        nearest = closest(self.contour, outline.pixels)
        back = outline.normals[nearest]
        gap = ((outline.pixels[nearest] - self.contour) * back).sum(axis=1)
        residuals = np.concatenate([distance, gap])
        shares = np.concatenate([outline.weights, np.full(len(gap), 1 / max(1, len(gap)))])
        robust = 1 / (1 + (residuals / self.config.robust) ** 2)
        weights = shares * robust * (self.config.independent / 2 / self.config.noise**2)
        points = np.concatenate([outline.points, outline.points[nearest]])
        rows = self.rows(points, np.concatenate([gradient, back]), pose)
        return Equations(rows, residuals, weights)

    def rows(self, points: np.ndarray, normals: np.ndarray, pose: UnitPose) -> np.ndarray:
        """(N, 6) change along (N, 2) normals of where (N, 3) points are seen, with the pose."""
        x, y, z = points.T
        across = normals[:, 0] * self.camera.fx / z
        down = normals[:, 1] * self.camera.fy / z
        away = -(across * x + down * y) / z
        x, y, z = (points - pose.position).T
        distance = pose.position[2]
        turns = (y * away - z * down, z * across - x * away, x * down - y * across)
        return np.array([*turns, across * distance, down * distance, away * distance]).T

    def step(self, equations: Equations, away: np.ndarray) -> np.ndarray:
        """(6,) Gauss-Newton step, bounded; `away` is how far the pose is from the expected one."""
        config = self.config
        expected = np.repeat([config.rotation**-2, config.translation**-2], 3)
        matrix = equations.information + np.diag(expected)
        step = -np.linalg.solve(matrix, equations.gradient + expected * away)
        size = np.sqrt((step.reshape(2, 3) ** 2).sum(axis=1))
        bound = (config.max_rotation, config.max_translation)
        return step * min(1.0, *(bound / np.maximum(size, 1e-12)))


def closest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(M,) index of the nearest of (N, 2) others to each of (M, 2) points."""
    squares = (others**2).sum(axis=1) - 2 * points @ others.T
    return squares.argmin(axis=1)
