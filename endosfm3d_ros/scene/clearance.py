"""How far an instrument is from tissue; it feeds controllers, so it rather says nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from scipy.spatial import cKDTree

from endosfm3d_ros.scene.fault import scale_sigma, scene_fault
from endosfm3d_ros.scene.metal import SEEN_SHARE, beside_model, end_in_sight, metal_points
from endosfm3d_ros.tissue.store.snapshot import in_camera
from endosfm3d_ros.tools.shapes.silhouette import silhouette
from endosfm3d_ros.tools.stage import PlacedTool
from endosfm3d_ros.types import Cloud, CloudLabel, SceneUpdate

KINDS = {
    CloudLabel.MEASURED: "measured",
    CloudLabel.RETAINED: "retained",
    CloudLabel.INFERRED: "inferred",
}
MIN_CONFIDENCE = 0.2
COMPARED = 0.010  # m beyond the nearest point of a tool, up to which others may be nearer
CHECKED = 300  # points whose doubts are compared
FEWEST = 2  # points of metal beside the model that are no outliers
UNSEEN = 0.05  # of a distance: the more room there is, the more of the tissue in it nobody saw
LONGEST_ARM = 0.04  # m from the pivot; what is farther is shaft, held by its own outline
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
    origin: np.ndarray = field(default_factory=lambda: np.full(3, np.nan))  # (3,) m, on the tool

    @classmethod
    def invalid(cls, tool: int, reason: str) -> Clearance:
        """No distance, and why."""
        nan = float("nan")
        return cls(tool, np.full(3, nan), nan, nan, "", False, reason)


def clearances(update: SceneUpdate) -> list[Clearance]:
    """Clearance of every tool of an update, in the camera frame of its image."""
    if update.tools is None:
        return []
    reason = scene_fault(update)
    if reason:
        return [Clearance.invalid(tool.track.id, reason) for tool in update.tools.tools]
    tissue = in_camera(update.tissue.cloud, update.tissue.T_map_camera)
    if not len(tissue.points):
        return [Clearance.invalid(tool.track.id, "the map is empty") for tool in update.tools.tools]
    # of all tissue: what is in doubt may be the nearest; asked once, so it is built quickly
    tree = cKDTree(tissue.points, balanced_tree=False, compact_nodes=False)
    return [_clearance(tool, tree, tissue, update) for tool in update.tools.tools]


def _clearance(tool: PlacedTool, tree: cKDTree, tissue: Cloud, update: SceneUpdate) -> Clearance:
    if reason := _tool_fault(tool, update):
        return Clearance.invalid(tool.track.id, reason)
    surface, distances, nearest = _apart(tool, tree)
    nearest = np.minimum(nearest, len(tissue.points) - 1)  # no neighbour: the distance is infinite
    best = int(np.argmin(distances))
    row = nearest[best]
    point, kind = tissue.points[row], KINDS[CloudLabel(int(tissue.labels[row]))]
    if kind == "inferred":
        return Clearance.invalid(tool.track.id, "the nearest tissue is inferred")
    if tissue.confidence[row] <= MIN_CONFIDENCE:
        return Clearance.invalid(tool.track.id, "the nearest tissue is not known well enough")
    distance = float(distances[best])
    missing = overhang(tool, update, float(surface[best, 2]))
    if missing >= distance:
        beyond = f"the tool reaches {1e3 * missing:.0f} mm beyond its model"
        return Clearance.invalid(tool.track.id, beyond)
    metal, doubted = _metal_distance(tool, surface, tree, update, distance)
    bound = min(
        _surface_bound(tool, surface, distances, tissue.points[nearest], update) - missing,
        metal - ONE_SIDED_95 * doubted,
        _possible_bound(tool, tree, distance),
    )
    return Clearance(
        id=tool.track.id,
        nearest=point.astype(np.float64),
        distance=distance,
        lower_bound_95=max(0.0, bound),
        kind=kind,
        valid=True,
        origin=surface[best].astype(np.float64),
    )


def _tool_fault(tool: PlacedTool, update: SceneUpdate) -> str:
    """Why no distance of this tool can be believed; empty where it can."""
    placement = tool.placement
    if placement is None or not placement.valid:
        return "the tool has no pose in this image"
    if not placement.trusted:
        return f"the pose is not trusted: {placement.reason}"
    if end_in_sight(tool, update) < SEEN_SHARE:
        return "its working end is hidden or out of the picture"
    return ""


def _apart(tool: PlacedTool, tree: cKDTree) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(S, 3) points of the tool's surface, (S,) distances to tissue and (S,) its nearest points.

    Of points that are much farther than the nearest ones the distance is infinite.
    """
    corners = tool.placement.points(tool.model.vertices)
    at_most = tree.query(corners)[0].min() + COMPARED
    # between the corners: only what is nearer than these is searched, which is quick
    surface = np.concatenate([corners, tool.placement.points(tool.model.surface.points)])
    distances, nearest = tree.query(surface, distance_upper_bound=np.nextafter(at_most, np.inf))
    return surface, distances, nearest


def _surface_bound(
    tool: PlacedTool,
    surface: np.ndarray,
    distances: np.ndarray,
    tissue: np.ndarray,
    update: SceneUpdate,
) -> float:
    """Over all points of the surface, with the tissue nearest to each: farther ones may be known
    less well."""
    near = np.flatnonzero(np.isfinite(distances))
    near = near[np.argsort(distances[near])][:: max(1, len(near) // CHECKED)]
    sigma = doubt(point_variances(tool, surface[near]), tissue[near], scale_sigma(update))
    return float(((1 - UNSEEN) * distances[near] - ONE_SIDED_95 * sigma).min())


def _metal_distance(
    tool: PlacedTool, surface: np.ndarray, tree: cKDTree, update: SceneUpdate, distance: float
) -> tuple[float, float]:
    """Metres, and their deviation, of metal that depth shows beside the model, nearer to tissue."""
    metal = metal_points(tool, update)
    apart = tree.query(metal, distance_upper_bound=distance)[0]
    nearer = np.isfinite(apart)
    metal, apart = metal[nearer], apart[nearer]
    apart = np.sort(apart[beside_model(metal, surface)])
    if len(apart) < FEWEST:
        return np.inf, 0.0
    sigma = doubt(np.zeros(1), metal[:1], scale_sigma(update))[0]
    return float(apart[FEWEST - 1]), float(sigma)


def _possible_bound(tool: PlacedTool, tree: cKDTree, distance: float) -> float:
    """By what another kind of instrument would reach, that cannot be excluded."""
    if tool.model.possible is None or not len(tool.model.possible):
        return np.inf
    points = tool.placement.points(tool.model.possible)
    return float(tree.query(points, distance_upper_bound=distance)[0].min())


def point_variances(tool: PlacedTool, points: np.ndarray) -> np.ndarray:
    """(N,) m^2, variance of where (N, 3) points of a posed tool are, in the worst direction.

    Turns and joints move what is far from the pivot more. The joints' part is that of the jaws.
    """
    placement = tool.placement
    covariance = placement.covariance
    shift = np.linalg.eigvalsh(covariance[3:, 3:])[-1]
    arm = points - (placement.points(tool.model.centre[None])[0])
    if placement.full_covariance is not None:
        arm = points - placement.t
    turn = np.linalg.eigvalsh(covariance[:3, :3])[-1]
    variance = shift + turn * np.minimum((arm**2).sum(axis=1), LONGEST_ARM**2)
    if placement.full_covariance is not None:
        joints = np.diag(placement.full_covariance)[6:]
        beyond = np.maximum(arm @ placement.R[:, 2], 0.0)
        variance = variance + joints.max(initial=0.0) * beyond**2
    return variance


def doubt(variances: np.ndarray, points: np.ndarray, scale: float) -> np.ndarray:
    """(N,) standard deviations in metres of the distances of points of a tool to tissue.

    Args:
        variances: (N,) m^2 of the points.
        points: (N, 3) m, on the tissue, camera frame.
        scale: of the logarithm of the scale. A wrong scale moves tissue along its ray, while a tool
            whose size is known stays: so all of the way from the camera counts, not the distance.
    """
    depth, reach = DEPTH_SIGMA * points[:, 2], scale * np.linalg.norm(points, axis=1)
    return np.sqrt(variances + depth**2 + reach**2)


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
