"""A jointed model prepared for the fit: where its points are at a pose, how they move with it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.tools.articulated.linkage import MOVES
from endosfm3d_ros.tools.articulated.model import JointedModel
from endosfm3d_ros.tools.shapes.silhouette import SilhouetteMesh

DOF = 9  # rotation, translation over the distance, three joints
SAMPLES = (140, 90, 110, 110)  # surface points of each link that are compared with depth
MOVED = np.array([[link in MOVES[j] for j in MOVES] for link in range(4)])  # (links, joints)
NEAR_WRIST = 0.05  # m of the shaft from its end, where it is compared


@dataclass(frozen=True)
class JointedPose:
    """The end of the shaft in the camera frame, and the joints."""

    R: np.ndarray  # (3, 3)
    position: np.ndarray  # (3,) m
    joints: np.ndarray  # (3,) rad

    def moved(self, step: np.ndarray) -> JointedPose:
        """After a step (9,)."""
        turn, _ = cv2.Rodrigues(step[:3])
        position = self.position + self.position[2] * step[3:6]
        return JointedPose(turn @ self.R, position, self.joints + step[6:])

    def step_from(self, other: JointedPose) -> np.ndarray:
        """(9,) the step that leads from the other pose to this one."""
        turn, _ = cv2.Rodrigues(self.R @ other.R.T)
        shift = (self.position - other.position) / other.position[2]
        return np.concatenate([turn[:, 0], shift, self.joints - other.joints])


class Prepared:
    """A jointed model with what the fit needs of it, made once."""

    def __init__(self, model: JointedModel) -> None:
        self.model = model
        self.mesh = SilhouetteMesh(model.vertices, model.faces)
        self.edge_links = model.owners[self.mesh.edges.vertices[:, 0]]
        chosen = self._chosen()
        surface = model.surface
        self.samples, self.normals = surface.points[chosen], surface.normals[chosen]
        self.sample_links = model.surface_links[chosen]
        self._vertex_rows = [model.owners == link for link in range(4)]
        self._sample_rows = [self.sample_links == link for link in range(4)]

    def _chosen(self) -> np.ndarray:
        """Surface points of each link; they are in random order."""
        links, z = self.model.surface_links, self.model.surface.points[:, 2]
        visible = (links != 0) | (z > -NEAR_WRIST)
        each = [np.nonzero((links == k) & visible)[0][:n] for k, n in enumerate(SAMPLES)]
        return np.concatenate(each)

    def vertices(self, pose: JointedPose) -> np.ndarray:
        """(V, 3) float32 in the camera frame."""
        return self._posed(self.model.vertices, self._vertex_rows, pose)

    def surface(self, pose: JointedPose) -> tuple[np.ndarray, np.ndarray]:
        """(S, 3) points and normals in the camera frame."""
        turns, _ = self.model.linkage.links(pose.joints)
        normals = np.empty_like(self.normals)
        for turn, rows in zip(turns, self._sample_rows):
            normals[rows] = self.normals[rows] @ (pose.R @ turn).T.astype(np.float32)
        return self._posed(self.samples, self._sample_rows, pose), normals

    def _posed(self, points: np.ndarray, rows: list[np.ndarray], pose: JointedPose) -> np.ndarray:
        turns, moves = self.model.linkage.links(pose.joints)
        posed = np.empty_like(points)
        for turn, move, own in zip(turns, moves, rows):
            R, t = pose.R @ turn, pose.R @ move + pose.position
            posed[own] = points[own] @ R.T.astype(np.float32) + t.astype(np.float32)
        return posed


def chained(
    forces: np.ndarray,
    points: np.ndarray,
    links: np.ndarray,
    pose: JointedPose,
    prepared: Prepared,
) -> np.ndarray:
    """(N, 9) change with pose and joints of quantities whose (N, 3) change with points is known."""
    moments = _cross(points.T, forces.T)  # (3, N), about the camera
    rows = np.empty((len(points), DOF))
    rows[:, :3] = (moments - _cross(pose.position[:, None], forces.T)).T
    rows[:, 3:6] = forces * pose.position[2]
    axes, pivots = prepared.model.linkage.axes(pose.joints)
    axes, pivots = axes @ pose.R.T, pivots @ pose.R.T + pose.position
    # axis . ((point - pivot) x force) = axis . moment - (axis x pivot) . force
    turned = moments.T @ axes.T - forces @ _cross(axes.T, pivots.T)
    rows[:, 6:] = turned * MOVED[links]
    return rows


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(3, N) products of (3, N) vectors; several times as quick as `numpy.cross`."""
    return np.stack(
        [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
    )
