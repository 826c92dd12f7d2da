"""What an evaluation measures: one class per part, fed with every update of a run.

A part without reference values in the clip has no scores. Values in metres or millimetres are
left out where the run's scale is relative: such a run has none.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.evaluation.metrics.bootstrap import Interval, interval_95, root_mean_square
from endosfm3d_ros.evaluation.metrics.depth import score_image
from endosfm3d_ros.evaluation.metrics.depth_baselines import baseline_scores
from endosfm3d_ros.evaluation.metrics.intrinsics import intrinsics_errors
from endosfm3d_ros.evaluation.metrics.pose import (
    path_length,
    position_errors,
    relative_errors,
    rotation_errors,
    snippet_errors,
)
from endosfm3d_ros.evaluation.metrics.protocols import DepthProtocol, ReleasedScores
from endosfm3d_ros.evaluation.metrics.resampling import depth_on_image
from endosfm3d_ros.evaluation.pictures.plots import plot_focal_length, plot_trajectory
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.types import IntrinsicsEstimate, ScaleSource, SceneUpdate, TrackingState

Value = float | int | str


@dataclass(frozen=True)
class Scores:
    """One part of the report."""

    frames: int  # that were scored
    values: dict[str, Value] = field(default_factory=dict)
    ci95: dict[str, Interval] = field(default_factory=dict)

    def with_mean(
        self,
        name: str,
        per_frame: np.ndarray,
        statistic: Callable[[np.ndarray], float] = np.mean,
    ) -> Scores:
        """With one more measure and its interval; unchanged where it is no finite number."""
        value = float(statistic(per_frame)) if len(per_frame) else math.nan
        if not math.isfinite(value):
            return self
        interval = interval_95(per_frame, statistic)
        return replace(
            self,
            values=self.values | {name: value},
            ci95=self.ci95 | ({name: interval} if interval else {}),
        )


class Part(ABC):
    """Base of the parts. `add` is called between two frames of a live stream: it must be quick."""

    name: str

    def __init__(self, sequence: Sequence, pipeline: Pipeline) -> None:
        self._sequence = sequence
        self._pipeline = pipeline

    @abstractmethod
    def add(self, i: int, update: SceneUpdate) -> None:
        """Take what is needed of the update of frame `i`."""

    def settle(self) -> None:  # noqa: B027 - most parts have nothing to do here
        """Score what was taken, when time does not matter."""

    @property
    def pending_bytes(self) -> int:
        """Memory held for `settle`."""
        return 0

    @abstractmethod
    def scores(self) -> Scores | None:
        """After the run; None where the clip has no reference."""


@dataclass(frozen=True)
class PendingDepth:
    """A depth map that waits to be scored."""

    i: int
    depth: np.ndarray  # (h, w) float32
    camera: PinholeCamera
    lens: PinholeCamera
    metric: bool


class DepthPart(Part):
    """Depth maps against reference depth, at the size of the reference.

    `flicker` is the mean of |ln s' - ln s| over neighbouring scored frames, with s the factor
    that a frame's depth lacks (see `log_scale`): how much the scale jumps from frame to frame.
    Beside the measures stand those of `depth_baselines`.

    Args:
        sequence: the clip.
        pipeline: what runs.
        limit: of maps held for `settle`; where more frames have a reference, that many of them,
            evenly spread, are scored. None for all.
        protocol: of a data set; adds the measures of its released evaluation.
    """

    name = "depth"

    def __init__(
        self,
        sequence: Sequence,
        pipeline: Pipeline,
        limit: int | None = None,
        protocol: DepthProtocol | None = None,
    ) -> None:
        super().__init__(sequence, pipeline)
        self._protocol = protocol
        self._released = ReleasedScores(protocol) if protocol else None
        self._metric = True
        self._chosen = None if limit is None else _spread(sequence, limit)
        self._pending: list[PendingDepth] = []
        self._table: dict[int, dict[str, float]] = {}

    def add(self, i: int, update: SceneUpdate) -> None:
        if self._chosen is not None and i not in self._chosen:
            return
        depth = update.depth
        metric = depth.scale != ScaleSource.RELATIVE
        self._pending.append(PendingDepth(i, depth.depth, depth.camera, update.lens, metric))

    def settle(self) -> None:
        for pending in self._pending:
            reference = self._sequence.reference_depth(pending.i)
            if reference is not None:
                predicted = depth_on_image(pending.depth, pending.camera, pending.lens)
                self._score(pending, predicted, reference)
        self._pending.clear()

    def _score(self, pending: PendingDepth, predicted: np.ndarray, reference: np.ndarray) -> None:
        self._metric &= pending.metric
        if self._released is not None:
            reference = self._protocol.scored(reference)
            self._released.add(predicted, reference, self._metric)
        self._table[pending.i] = score_image(predicted, reference, pending.metric)

    @property
    def pending_bytes(self) -> int:
        return sum(pending.depth.nbytes for pending in self._pending)

    def scores(self) -> Scores | None:
        rows = [self._table[i] for i in sorted(self._table) if self._table[i]]
        if not rows:
            return None
        columns = defaultdict(list)
        for row in rows:
            for name, value in row.items():
                columns[name].append(value)
        jumps = np.abs(np.diff(columns.pop("log_scale", [])))
        scores = Scores(frames=len(rows))
        for name, column in columns.items():
            values = np.array(column)
            scores = scores.with_mean(name, values[np.isfinite(values)])
        scores = self._with_released(scores.with_mean("flicker", jumps))
        baselines = baseline_scores(self._sequence, sorted(self._table), self._protocol)
        return replace(scores, values=scores.values | baselines)

    def _with_released(self, scores: Scores) -> Scores:
        if self._released is None:
            return scores
        self._released.close(self._metric)
        scores = replace(scores, values={"protocol": self._protocol.name} | scores.values)
        for name, column in self._released.columns.items():
            scores = scores.with_mean(name, np.array(column))
        return scores


class PosePart(Part):
    """Camera poses in the map against reference poses of the same camera, the raw left one.

    Frames that are lost count with the pose that was held. `ate_sim3_of_path` is the
    SIM(3)-aligned error as a share of the length of the reference path, which needs no unit.
    `snippet5_ate` is in millimetres of the reference where that is metric, its scale being
    fitted in each window; otherwise in the reference's own unit.
    """

    name = "pose"

    def __init__(
        self, sequence: Sequence, pipeline: Pipeline, pictures: Path | None = None
    ) -> None:
        super().__init__(sequence, pipeline)
        self._pictures = pictures
        self._poses: dict[int, np.ndarray] = {}
        self._lost = 0
        self._metric = sequence.poses_metric

    def add(self, i: int, update: SceneUpdate) -> None:
        self._poses[i] = update.pose.T_map_camera
        self._lost += update.pose.state == TrackingState.LOST
        self._metric &= update.depth.scale != ScaleSource.RELATIVE

    def scores(self) -> Scores | None:
        references = {i: self._sequence.reference_pose(i) for i in sorted(self._poses)}
        numbers = np.array([i for i, pose in references.items() if pose is not None])
        if len(numbers) < 3:  # an alignment needs three
            return None
        estimate = np.stack([self._poses[i] for i in numbers])
        reference = np.stack([references[i] for i in numbers])
        if self._pictures is not None:
            centres = estimate[:, :3, 3], reference[:, :3, 3]
            plot_trajectory(self._pictures / "trajectory.png", *centres, numbers, self._metric)
        scores = Scores(len(numbers), {"lost_frames": self._lost})
        scores = self._without_unit(scores, estimate, reference, numbers)
        return _millimetres(scores, estimate, reference, numbers) if self._metric else scores

    def _without_unit(
        self, scores: Scores, estimate: np.ndarray, reference: np.ndarray, numbers: np.ndarray
    ) -> Scores:
        aligned = position_errors(estimate[:, :3, 3], reference[:, :3, 3], with_scale=True)
        path = path_length(reference[:, :3, 3])
        if path > 0:
            scores = scores.with_mean("ate_sim3_of_path", aligned / path, root_mean_square)
        degrees = rotation_errors(estimate, reference)
        scores = scores.with_mean("ate_rot_deg", degrees, root_mean_square)
        degrees = relative_errors(estimate, reference, numbers).degrees
        scores = scores.with_mean("rpe_rot_deg", degrees, root_mean_square)
        unit = 1e3 if self._sequence.poses_metric else 1.0
        snippets = unit * snippet_errors(estimate, reference, numbers)
        return scores.with_mean("snippet5_ate", snippets)


class IntrinsicsPart(Part):
    """The estimate after the last frame against the camera of that frame, which may have zoomed."""

    name = "intrinsics"

    def __init__(
        self, sequence: Sequence, pipeline: Pipeline, pictures: Path | None = None
    ) -> None:
        super().__init__(sequence, pipeline)
        self._pictures = pictures
        self._estimates: dict[int, IntrinsicsEstimate] = {}

    def add(self, i: int, update: SceneUpdate) -> None:
        self._estimates[i] = update.intrinsics

    def scores(self) -> Scores | None:
        if not self._estimates or self._sequence.camera is None:
            return None
        truths = {
            i: self._sequence.reference_camera(i) or self._sequence.camera for i in self._estimates
        }
        if self._pictures is not None:
            plot_focal_length(self._pictures / "focal_length.png", self._estimates, truths)
        end = max(self._estimates)
        last = self._estimates[end]
        values = intrinsics_errors(last.camera, truths[end])
        state = {"state": last.state, "mode": last.mode}
        return Scores(1, {**values, **state, "k_seen_by": self._pipeline.sfm.k_seen_by()})


def _millimetres(
    scores: Scores, estimate: np.ndarray, reference: np.ndarray, numbers: np.ndarray
) -> Scores:
    """With everything that only a metric trajectory has."""
    positions = estimate[:, :3, 3], reference[:, :3, 3]
    for name, with_scale in (("ate_se3_mm", False), ("ate_sim3_mm", True)):
        error = 1e3 * position_errors(*positions, with_scale)
        scores = scores.with_mean(name, error, root_mean_square)
    step = 1e3 * relative_errors(estimate, reference, numbers).translation
    scores = scores.with_mean("rpe_trans_mm", step, root_mean_square)
    path = {"path_mm": 1e3 * path_length(reference[:, :3, 3])}
    return replace(scores, values=scores.values | path)


def _spread(sequence: Sequence, limit: int) -> frozenset[int]:
    """At most `limit` of the frames that have reference depth, evenly spread."""
    known = [i for i in range(len(sequence)) if sequence.reference_depth(i) is not None]
    picks = np.linspace(0, len(known) - 1, min(limit, len(known))).round().astype(int)
    return frozenset(known[k] for k in picks)
