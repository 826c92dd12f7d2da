"""The complete cloud against the true surface, as a part of the report."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from scipy.spatial import cKDTree

from endosfm3d_ros.datasets.formats.surface_truth import Surface
from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.evaluation.parts.estimates import Part, Scores
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.scene.complete import complete_cloud
from endosfm3d_ros.types import CloudLabel, ScaleSource, SceneUpdate

MAX_POINTS = 40_000  # of tissue, as the node publishes by default
REACH = 0.002  # metres within which the cloud must have a point


class CloudPart(Part):
    """Share of all surface seen so far that has a point of its own kind within 2 mm.

    `covered` is of tissue and instruments together, `covered_tissue` and `covered_tools` of each,
    `covered_hidden` of the tissue that an instrument hides now; `covered_known` is of tissue when
    points labelled as inferred do not count. Only clips of the simulator know the surface;
    without a metric scale there are no scores.
    """

    name = "cloud"

    def __init__(self, sequence: Sequence, pipeline: Pipeline) -> None:
        super().__init__(sequence, pipeline)
        self._known = sequence.surface(0) is not None
        self._metric = True
        self._pending: list[tuple[int, np.ndarray, np.ndarray]] = []  # frame, points, labels
        self._columns: dict[str, list[float]] = defaultdict(list)

    def add(self, i: int, update: SceneUpdate) -> None:
        self._metric &= update.depth.scale != ScaleSource.RELATIVE
        if self._known and self._metric:
            cloud = complete_cloud(update, MAX_POINTS)
            self._pending.append((i, cloud.points, cloud.labels))

    def settle(self) -> None:
        for i, cloud, kinds in self._pending:
            surface = self._sequence.surface(i)
            if surface is not None and len(surface.points):
                self._score(i, surface, cloud, kinds)
        self._pending.clear()

    @property
    def pending_bytes(self) -> int:
        return sum(cloud.nbytes + kinds.nbytes for _, cloud, kinds in self._pending)

    def _score(self, i: int, surface: Surface, cloud: np.ndarray, kinds: np.ndarray) -> None:
        points, tissue = surface.points, surface.labels == 0
        of_tools, inferred = kinds >= CloudLabel.TOOL, kinds == CloudLabel.INFERRED
        by_tissue, by_tools = (covered(points, cloud[kind]) for kind in (~of_tools, of_tools))
        near = np.where(tissue, by_tissue, by_tools)
        known = covered(points, cloud[~of_tools & ~inferred])
        everything = np.ones_like(tissue)
        for name, shares, chosen in (
            ("covered", near, everything),
            ("covered_tissue", near, tissue),
            ("covered_known", known, tissue),
            ("covered_hidden", near, self._hidden(i, surface)),
            ("covered_tools", near, ~tissue),
        ):
            if chosen.any():
                self._columns[name].append(float(shares[chosen].mean()))

    def _hidden(self, i: int, surface: Surface) -> np.ndarray:
        """(N,) bool: tissue behind an instrument."""
        hidden, instances = surface.labels == 0, self._sequence.instances(i)
        if instances is None:
            return np.zeros_like(hidden)
        camera = self._sequence.reference_camera(i) or self._sequence.camera
        pixels = np.nan_to_num(camera.project(surface.points), nan=-1.0).round().astype(int)
        inside = ((pixels >= 0) & (pixels < camera.size)).all(axis=1)
        column, row = pixels[inside].T
        hidden[inside] &= instances[row, column] > 0
        return hidden & inside

    def scores(self) -> Scores | None:
        if not self._metric or not self._columns:
            return None
        scores = Scores(frames=len(self._columns["covered"]))
        for name, column in self._columns.items():
            scores = scores.with_mean(name, np.array(column))
        return scores


def covered(points: np.ndarray, cloud: np.ndarray) -> np.ndarray:
    """(N,) bool: points (N, 3) with one of the cloud (M, 3) within `REACH`."""
    if not len(cloud):
        return np.zeros(len(points), bool)
    distance, _ = cKDTree(cloud).query(points, distance_upper_bound=REACH)
    return np.isfinite(distance)
