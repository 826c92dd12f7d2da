"""Whether stated errors cover true ones: of the pose, frame by frame, and of the focal length."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.evaluation.metrics.pose import path_length, umeyama
from endosfm3d_ros.evaluation.parts.estimates import Part, Scores, Value
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.types import IntrinsicsEstimate, ScaleSource, SceneUpdate, TrackingState

BAND_95 = 12.59  # chi-square with the six degrees of freedom of a pose
AT_REST = 0.02  # of the distance: a camera whose whole path is shorter stands still
BELIEVED = ("converging", "converged", "changed")  # states that state something about the camera


@dataclass(frozen=True)
class _Stated:
    T: np.ndarray  # 4x4 camera to map
    covariance: np.ndarray  # (6, 6)
    tracked: bool
    distance: float  # of the scene, median; in the unit of the pose


class HonestyPart(Part):
    """Poses relative to the first frame, in the scale that fits best where they have none.

    `pose_within_95` is the share of tracked frames whose normalised squared error lies within
    the 95 % band of chi-square; a reference that rests has no scale, and errors are then given
    as shares of the distance. `focal_within_2_sigma` counts frames whose state claims something.
    """

    name = "honesty"

    def __init__(self, sequence: Sequence, pipeline: Pipeline) -> None:
        super().__init__(sequence, pipeline)
        self._stated: dict[int, _Stated] = {}
        self._estimates: dict[int, IntrinsicsEstimate] = {}
        self._metric = sequence.poses_metric

    def add(self, i: int, update: SceneUpdate) -> None:
        pose, depth = update.pose, update.depth
        self._metric &= depth.scale != ScaleSource.RELATIVE
        known = depth.depth[depth.valid]
        distance = float(np.median(known)) if len(known) else math.nan
        tracked = pose.state == TrackingState.TRACKING
        self._stated[i] = _Stated(pose.T_map_camera, pose.covariance, tracked, distance)
        self._estimates[i] = update.intrinsics

    def scores(self) -> Scores | None:
        lost = sum(not stated.tracked for stated in self._stated.values())
        values = {"lost_frames": lost, **self._of_pose(), **self._of_focal_length()}
        return Scores(len(self._stated), values) if self._stated else None

    def _of_pose(self) -> dict[str, Value]:
        references = {i: self._sequence.reference_pose(i) for i in sorted(self._stated)}
        numbers = [i for i, pose in references.items() if pose is not None]
        if len(numbers) < 3:
            return {}
        stated = [self._stated[i] for i in numbers]
        true = _from_first(np.stack([references[i] for i in numbers]))
        seen = _from_first(np.stack([s.T for s in stated]))
        distance = float(np.nanmedian([s.distance for s in stated]))
        true_distance, resting = self._true_distance(numbers, distance, true)
        factor = 1.0
        if not self._metric and not resting:
            factor = umeyama(seen[:, :3, 3], true[:, :3, 3], with_scale=True).scale
        elif not self._metric:
            factor = true_distance / distance
        if np.isnan(true_distance):
            true_distance = factor * distance
        return _pose_values(stated, seen, true, factor, true_distance) | {"at_rest": int(resting)}

    def _true_distance(
        self, numbers: list[int], believed: float, true: np.ndarray
    ) -> tuple[float, bool]:
        """Of the scene, as the reference says where it has depth; and whether the camera rests."""
        depths = (self._sequence.reference_depth(i) for i in numbers[:1])
        known = [float(np.nanmedian(depth)) for depth in depths if depth is not None]
        path = path_length(true[:, :3, 3])
        if known:
            return known[0], path < AT_REST * known[0]
        # without depth: metres are metres, and a path of another unit is at rest where it is none
        resting = path < AT_REST * believed if self._metric else path == 0
        return believed if self._metric or resting else math.nan, resting

    def _of_focal_length(self) -> dict[str, Value]:
        if self._sequence.camera is None:
            return {}
        rows = []
        for i, estimate in self._estimates.items():
            truth = self._sequence.reference_camera(i) or self._sequence.camera
            rows.append((estimate.state, *_focal_error(estimate, truth)))
        claimed = np.array([row[1:] for row in rows if row[0] in BELIEVED]).reshape(-1, 2)
        converged = np.array([row[1:] for row in rows if row[0] == "converged"]).reshape(-1, 2)
        values: dict[str, Value] = {
            "focal_error": abs(rows[-1][1]),
            "converged_share": len(converged) / len(rows),
        }
        if len(claimed):
            over = np.abs(claimed[:, 0]) / np.maximum(claimed[:, 1], 1e-9)
            values["focal_within_2_sigma"] = float((over < 2).mean())
            values["focal_worst_over_sigma"] = float(over.max())
        if len(converged):
            values["focal_worst_converged"] = float(np.abs(converged[:, 0]).max())
        return values


def _focal_error(estimate: IntrinsicsEstimate, truth: PinholeCamera) -> tuple[float, float]:
    """(error, stated standard deviation), both of log f."""
    camera = estimate.camera
    scale = truth.width / camera.width
    error = math.log(scale * math.sqrt(camera.fx * camera.fy / (truth.fx * truth.fy)))
    return error, math.sqrt(estimate.covariance[0, 0]) / camera.fx


def _from_first(poses: np.ndarray) -> np.ndarray:
    """(N, 4, 4) poses in the frame of the first one."""
    return se3.inverse(poses[0]) @ poses


def _pose_values(
    stated: list[_Stated], seen: np.ndarray, true: np.ndarray, factor: float, distance: float
) -> dict[str, Value]:
    """Errors against stated covariances, and how far the pose strayed at worst."""
    offsets = factor * seen[:, :3, 3] - true[:, :3, 3]
    turns = Rotation.from_matrix(seen[:, :3, :3] @ true[:, :3, :3].swapaxes(1, 2)).as_rotvec()
    lengths = np.diag([factor] * 3 + [1.0] * 3)
    squares = []
    for k, pose in enumerate(stated[1:], start=1):
        if pose.tracked:
            error = np.concatenate([offsets[k], turns[k]])
            covariance = lengths @ pose.covariance @ lengths + 1e-18 * np.eye(6)
            squares.append(float(error @ np.linalg.solve(covariance, error)))
    values: dict[str, Value] = {
        "strays_of_distance": float(np.linalg.norm(offsets, axis=1).max() / distance),
        "strays_deg": float(np.degrees(np.linalg.norm(turns, axis=1)).max()),
    }
    if squares:
        values["pose_within_95"] = float(np.mean(np.array(squares) < BAND_95))
        values["pose_nees_median"] = float(np.median(squares))
    return values
