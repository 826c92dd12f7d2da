"""Instrument masks and identities as a part of the report."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.evaluation.metrics.masks import MaskScore, score_mask
from endosfm3d_ros.evaluation.parts.estimates import Part, Scores
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.types import SceneUpdate

MIN_SHARE = 0.0015  # of the image that an instrument must show to have an identity


class MasksPart(Part):
    """The pipeline's own masks against the clip's.

    `iou_mean` and `dice_mean` are of everything segmented; `tracked_iou_mean` of what is published
    as a tool, which takes a few frames to be born. `id_switches` counts how often the id over a
    reference instrument differs from the last one it had.
    """

    name = "masks"

    def __init__(self, sequence: Sequence, pipeline: Pipeline) -> None:
        super().__init__(sequence, pipeline)
        self._pending: list[tuple[int, np.ndarray, np.ndarray]] = []
        self._segmented: list[MaskScore] = []
        self._tracked: list[MaskScore] = []
        self._last_id: dict[int, int] = {}
        self._switches: int | None = None
        self._source = ""

    def add(self, i: int, update: SceneUpdate) -> None:
        if update.tools is None:
            return
        tracks, self._source = update.tools.tracks, update.tools.mask_source
        self._pending.append((i, tracks.segmented, tracks.labels))

    def settle(self) -> None:
        for i, segmented, labels in self._pending:
            score = score_mask(segmented, self._sequence, i)
            if score is not None:
                self._segmented.append(score)
                self._tracked.append(score_mask(labels > 0, self._sequence, i))
            self._count_switches(i, labels)
        self._pending.clear()

    @property
    def pending_bytes(self) -> int:
        return sum(segmented.nbytes + labels.nbytes for _, segmented, labels in self._pending)

    def _count_switches(self, i: int, labels: np.ndarray) -> None:
        instances, ignore = self._sequence.instances(i), self._sequence.ignore(i)
        if instances is None:
            return
        self._switches = self._switches or 0
        known = labels > 0 if ignore is None else (labels > 0) & ~ignore
        for instrument in np.unique(instances[instances > 0]).tolist():
            own = labels[(instances == instrument) & known]
            if len(own) < MIN_SHARE * labels.size:
                continue
            seen = int(np.bincount(own).argmax())
            self._switches += self._last_id.setdefault(instrument, seen) != seen
            self._last_id[instrument] = seen

    def scores(self) -> Scores | None:
        if not self._segmented:
            return None
        segmented, tracked = np.array(self._segmented), np.array(self._tracked)
        scores = Scores(len(segmented)).with_mean("iou_mean", segmented[:, 0])
        scores = scores.with_mean("dice_mean", segmented[:, 1])
        scores = scores.with_mean("tracked_iou_mean", tracked[:, 0])
        known = {} if self._switches is None else {"id_switches": self._switches}
        return replace(scores, values=scores.values | known | {"source": self._source})
