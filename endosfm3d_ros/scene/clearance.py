"""How far an instrument is from tissue; it feeds controllers, so it rather says nothing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from scipy.spatial import cKDTree

from endosfm3d_ros.tissue.store.snapshot import in_camera
from endosfm3d_ros.tools.shapes.silhouette import silhouette
from endosfm3d_ros.tools.stage import PlacedTool
from endosfm3d_ros.types import Cloud, CloudLabel, ScaleSource, SceneUpdate, TrackingState

KINDS = {
    CloudLabel.MEASURED: "measured",
    CloudLabel.RETAINED: "retained",
    CloudLabel.INFERRED: "inferred",
}
MIN_CONFIDENCE = 0.2
DEPTH_SIGMA = 0.01  # relative, of tissue depth
ONE_SIDED_95 = 1.645  # standard deviations
OVERHANG_PERCENTILE = 99.5  # of the mask's pixels: single ones are noise
MASK_NOISE = 2.0  # px, of a mask's outline


@dataclass(frozen=True)
class Clearance:
    """Distance of one tool to the nearest tissue; NaN and a reason where it is not valid."""

    id: int
    nearest: np.ndarray  # (3,) m on the tissue, camera frame
    distance: float  # m
    lower_bound_95: float  # m
    kind: str  # measured | retained | inferred
    valid: bool
    reason: str = ""

    @classmethod
    def invalid(cls, tool: int, reason: str) -> Clearance:
        """No distance, and why."""
        nan = float("nan")
        return cls(tool, np.full(3, nan), nan, nan, "", False, reason)


def clearances(update: SceneUpdate) -> list[Clearance]:
    """Clearance of every tool of an update, in the camera frame of its image."""
    if update.tools is None:
        return []
    reason = _scene_fault(update)
    if reason:
        return [Clearance.invalid(tool.track.id, reason) for tool in update.tools.tools]
    tissue = in_camera(update.tissue.cloud, update.tissue.T_map_camera)
    if not len(tissue.points):
        return [Clearance.invalid(tool.track.id, "the map is empty") for tool in update.tools.tools]
    # of all tissue: what is in doubt may be the nearest; asked once, so it is built quickly
    tree = cKDTree(tissue.points, balanced_tree=False, compact_nodes=False)
    return [_clearance(tool, tree, tissue, update) for tool in update.tools.tools]


def _scene_fault(update: SceneUpdate) -> str:
    """Why no distance of this scene can be believed; empty where it can."""
    if update.depth.scale == ScaleSource.RELATIVE:
        return "the scale is relative"
    if update.tissue is None:
        return "no tissue map is kept"
    if TrackingState.LOST in (update.pose.state, update.tissue.state):
        return "tracking is lost"
    if not np.isfinite(scale_sigma(update)):
        return "the doubt about the scale is not known"
    return ""


def _clearance(tool: PlacedTool, tree: cKDTree, tissue: Cloud, update: SceneUpdate) -> Clearance:
    placement = tool.placement
    if placement is None or not placement.valid:
        return Clearance.invalid(tool.track.id, "the tool has no pose in this image")
    if not placement.trusted:
        return Clearance.invalid(tool.track.id, f"the pose is not trusted: {placement.reason}")
    corners = placement.points(tool.model.vertices)
    at_most = tree.query(corners)[0].min()
    # between the corners: only what is nearer than any of them is searched, which is quick
    surface = np.concatenate([corners, placement.points(tool.model.surface.points)])
    distances, nearest = tree.query(surface, distance_upper_bound=np.nextafter(at_most, np.inf))
    best = int(np.argmin(distances))
    row = nearest[best]
    point, kind = tissue.points[row], KINDS[CloudLabel(int(tissue.labels[row]))]
    if kind == "inferred":
        return Clearance.invalid(tool.track.id, "the nearest tissue is inferred")
    if tissue.confidence[row] <= MIN_CONFIDENCE:
        return Clearance.invalid(tool.track.id, "the nearest tissue is not known well enough")
    sigma = doubt(placement.covariance, point, scale_sigma(update))
    distance = float(distances[best])
    missing = overhang(tool, update, float(surface[best, 2]))
    if missing >= distance:
        beyond = f"the tool reaches {1e3 * missing:.0f} mm beyond its model"
        return Clearance.invalid(tool.track.id, beyond)
    bound = max(0.0, distance - ONE_SIDED_95 * sigma - missing)
    return Clearance(tool.track.id, point.astype(np.float64), distance, bound, kind, True)


def scale_sigma(update: SceneUpdate) -> float:
    """Standard deviation of the logarithm of the scale; 0 where metres are given, not measured."""
    return update.scale.sigma if update.scale is not None else 0.0


def doubt(covariance: np.ndarray, point: np.ndarray, scale: float) -> float:
    """Standard deviation in metres of the distance of a tool to a tissue point.

    Args:
        covariance: (6, 6) of the tool's pose, rotation first.
        point: (3,) m, on the tissue, camera frame.
        scale: of the logarithm of the scale. A wrong scale moves tissue along its ray, while a tool
            whose size is known stays: so all of the way from the camera counts, not the distance.
    """
    pose = np.trace(covariance[3:, 3:])
    depth, reach = DEPTH_SIGMA * float(point[2]), scale * float(np.linalg.norm(point))
    return float(np.sqrt(pose + depth**2 + reach**2))


def overhang(tool: PlacedTool, update: SceneUpdate, depth: float) -> float:
    """Metres, at a depth, by which a tool reaches beyond its model: open jaws of a capsule."""
    mask, camera = update.labels == tool.track.id, update.depth.camera
    points = tool.placement.points(tool.model.vertices)
    solid = silhouette(points, tool.model.faces, camera)
    outside = cv2.distanceTransform((~solid).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_3)[mask]
    if not len(outside):
        return 0.0
    pixels = float(np.percentile(outside, OVERHANG_PERCENTILE))
    return max(0.0, pixels - MASK_NOISE) * max(depth, 0.0) / camera.fx
