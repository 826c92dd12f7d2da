"""Models of instruments as a part of the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.evaluation.metrics.instruments import InstrumentScores
from endosfm3d_ros.evaluation.parts.estimates import Part, Scores
from endosfm3d_ros.evaluation.pictures.tools import ToolsGallery
from endosfm3d_ros.evaluation.runs.tools import ToolsProtocol, evaluate_tools
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.types import SceneUpdate


class ToolsPart(Part):
    """A run of its own after the pipeline's, with the clip's masks; see `evaluation.tools`.

    What is known of joints, clearances and phantoms comes from the pipeline's run, with the masks
    that it makes; see `metrics.instruments`.

    Args:
        sequence: the clip.
        pipeline: whose depth settings are used.
        protocol: what is placed and how it is scored.
        pictures: folder for `tools.png`; None for none.
    """

    name = "tools"

    def __init__(
        self,
        sequence: Sequence,
        pipeline: Pipeline,
        protocol: ToolsProtocol | None = None,
        pictures: Path | None = None,
    ) -> None:
        super().__init__(sequence, pipeline)
        self._protocol = replace(protocol or ToolsProtocol(), sfm=pipeline.config.sfm)
        self._pictures = pictures
        self._live = InstrumentScores()

    def add(self, i: int, update: SceneUpdate) -> None:
        self._live.add(i, self._sequence, update)

    def scores(self) -> Scores | None:
        if all(self._sequence.mask(i) is None and self._sequence.instances(i) is None
               for i in range(len(self._sequence))):  # fmt: skip
            return None
        gallery = ToolsGallery()
        result = evaluate_tools(self._sequence, self._protocol, gallery.add)
        if self._pictures is not None:
            gallery.write(self._pictures)
        scores = Scores(frames=len(result.columns["iou_mean"]))
        for name, column in result.columns.items():
            scores = scores.with_mean(name, np.array(column))
        if result.align_ms:
            scores = scores.with_mean("align_ms_p50", np.array(result.align_ms), np.median)
        scores = self._with_truth(scores, np.array(result.pose_errors))
        scores = replace(scores, values=scores.values | self._live.values())
        texts = {"source": result.source, "align": self._protocol.alignment}
        if result.notes:
            texts["unplaced_because"] = "; ".join(sorted(result.notes))
        return replace(scores, values=scores.values | texts)

    def _with_truth(self, scores: Scores, pose_errors: np.ndarray) -> Scores:
        """With the errors of poses, where the truth is known."""
        if len(pose_errors):
            for name, column in zip(("pose_err_mm", "pose_err_deg"), pose_errors.T):
                scores = scores.with_mean(name, column)
                scores = scores.with_mean(f"{name}_p95", column, lambda v: np.percentile(v, 95))
        return scores
