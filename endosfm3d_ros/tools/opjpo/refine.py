"""Gauss-Newton on the contour: the silhouette's outline onto the mask's, and back.

Residuals of a pose are, in window pixels and along the normal,
1. the distance of points on the model's outline from the mask's contour, and
2. the distance of points on the mask's contour from the model's outline,
both robustly weighted, and 3. the step away from where the pose was expected.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.opjpo.outline import Outline, outline_of
from endosfm3d_ros.tools.opjpo.pose import UnitPose
from endosfm3d_ros.tools.opjpo.target import MaskTarget
from endosfm3d_ros.tools.silhouette import SilhouetteMesh, filled, project

MIN_POINTS = 8  # on the outline


@dataclass(frozen=True)
class RefineConfig:
    """Chosen on generated tools; the expectation is a prior that noise cannot be fitted against."""

    iterations: int = 4
    outline_points: int = 200
    contour_points: int = 100
    robust: float = 3.0  # window px; residuals far beyond have little weight (Cauchy)
    noise: float = 1.0  # window px, of the mask's contour
    independent: float = 60.0  # neighbouring contour points err alike: so many count
    rotation: float = 0.5  # rad, 1 sigma of the expected pose
    translation: float = 0.3  # of the distance, 1 sigma of the expected pose
    max_rotation: float = 0.25  # rad in one iteration
    max_translation: float = 0.2  # of the distance in one iteration


@dataclass(frozen=True)
class Refined:
    """The best pose met, its overlap in the window, and how well it is determined."""

    pose: UnitPose
    iou: float
    information: np.ndarray = field(repr=False)  # (6, 6) of a step, without the expectation


@dataclass(frozen=True)
class Equations:
    """Linearised residuals: `rows @ step + residuals`, with the weight of each."""

    rows: np.ndarray  # (N, 6)
    residuals: np.ndarray  # (N,)
    weights: np.ndarray  # (N,)

    @property
    def information(self) -> np.ndarray:
        """(6, 6) of the step."""
        return (self.rows * self.weights[:, None]).T @ self.rows

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
    ) -> None:
        self.mesh, self.camera, self.target, self.config = mesh, camera, target, config
        self.contour = target.contour(config.contour_points)

    def run(self, start: UnitPose, expected: UnitPose | None = None) -> Refined:
        """The pose with the largest overlap among those that the iterations meet.

        Args:
            start: where they begin.
            expected: what the prior holds the pose to; the start if nothing else is known.
        """
        expected = expected or start
        pose, best = start, Refined(start, -1.0, np.zeros((6, 6)))
        for remaining in range(self.config.iterations, -1, -1):
            outline, iou = self.look(pose)
            if len(outline.pixels) < MIN_POINTS:
                break
            equations = self.equations(outline, pose)
            if iou > best.iou:
                best = Refined(pose, iou, equations.information)
            if remaining:
                pose = pose.moved(self.step(equations, pose.step_from(expected)))
        return best

    def look(self, pose: UnitPose) -> tuple[Outline, float]:
        """The outline where it says something, and the overlap."""
        points = pose.points(self.mesh.vertices)
        pixels, front = project(points, self.camera)
        window = self.target.window
        contours = self.mesh.contours(window.from_image(pixels)[None], front[None])
        solid = filled(contours, 1, window.width, window.height)
        ends = points[self.mesh.edges.vertices[contours.edge]]
        outline = outline_of(contours, ends, solid[0], self.config.outline_points)
        outline = outline.seen_by(self.camera, window)
        return outline.kept(self.target.informative(outline.pixels)), float(
            self.target.overlaps(solid)[0]
        )

    def equations(self, outline: Outline, pose: UnitPose) -> Equations:
        """Both kinds of residuals."""
        distance, gradient = self.target.distances(outline.pixels)
        forth = self.rows(outline.points, gradient, pose)
        nearest = closest(self.contour, outline.pixels)
        normals = outline.normals[nearest]
        gap = ((outline.pixels[nearest] - self.contour) * normals).sum(axis=1)
        back = self.rows(outline.points[nearest], normals, pose)
        residuals = np.concatenate([distance, gap])
        shares = np.concatenate([outline.weights, np.full(len(gap), 1 / max(1, len(gap)))])
        robust = 1 / (1 + (residuals / self.config.robust) ** 2)
        weights = shares * robust * (self.config.independent / 2 / self.config.noise**2)
        return Equations(np.concatenate([forth, back]), residuals, weights)

    def rows(self, points: np.ndarray, normals: np.ndarray, pose: UnitPose) -> np.ndarray:
        """(N, 6) change along (N, 2) normals of where (N, 3) points are seen, with the pose."""
        focal = np.array([self.camera.fx, self.camera.fy]) / self.target.window.step
        ray = points / points[:, 2:]
        across = normals * focal / points[:, 2:]
        slope = np.column_stack([across, -(across * ray[:, :2]).sum(axis=1)])
        return np.column_stack([np.cross(points - pose.position, slope), slope * pose.position[2]])

    def step(self, equations: Equations, away: np.ndarray) -> np.ndarray:
        """(6,) Gauss-Newton step, bounded; `away` is how far the pose is from the expected one."""
        config = self.config
        expected = np.repeat([config.rotation**-2, config.translation**-2], 3)
        matrix = equations.information + np.diag(expected)
        step = -np.linalg.solve(matrix, equations.gradient + expected * away)
        size = np.array([np.linalg.norm(step[:3]), np.linalg.norm(step[3:])])
        bound = (config.max_rotation, config.max_translation)
        return step * min(1.0, *(bound / np.maximum(size, 1e-12)))


def closest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """(M,) index of the nearest of (N, 2) others to each of (M, 2) points."""
    squares = (others**2).sum(axis=1) - 2 * points @ others.T
    return squares.argmin(axis=1)
