"""Models of instruments as a part of the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.evaluation.parts.estimates import Part, Scores
from endosfm3d_ros.evaluation.pictures.tools import ToolsGallery
from endosfm3d_ros.evaluation.runs.tools import ToolsProtocol, evaluate_tools
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.scene.clearance import clearances
from endosfm3d_ros.types import SceneUpdate


class ToolsPart(Part):
    """A run of its own after the pipeline's, with the clip's masks; see `evaluation.tools`.

    `clearance_err_mm` comes from the pipeline's run: the mean error of the distances that are valid
    in clips where the true ones are known; `clearance_valid_share` is how many of them are.

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
        self._clearances: list[tuple[float, float, float]] = []  # m: found, bound, true

    def add(self, i: int, update: SceneUpdate) -> None:
        truths = self._sequence.tool_clearances(i) if update.tissue is not None else {}
        if not truths or update.tools is None:
            return
        instances, labels = self._sequence.instances(i), update.tools.tracks.labels
        for found in clearances(update):
            own = instances[(labels == found.id) & (instances > 0)]
            truth = truths.get(int(np.bincount(own).argmax())) if len(own) else None
            if truth is not None and np.isfinite(truth):
                self._clearances.append((found.distance, found.lower_bound_95, truth))

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
        texts = {"source": result.source, "align": self._protocol.alignment}
        if result.notes:
            texts["unplaced_because"] = "; ".join(sorted(result.notes))
        return replace(scores, values=scores.values | texts)

    def _with_truth(self, scores: Scores, pose_errors: np.ndarray) -> Scores:
        """With the errors of poses and clearances, where the truth is known."""
        if len(pose_errors):
            for name, column in zip(("pose_err_mm", "pose_err_deg"), pose_errors.T):
                scores = scores.with_mean(name, column)
                scores = scores.with_mean(f"{name}_p95", column, lambda v: np.percentile(v, 95))
        if not self._clearances:
            return scores
        found, bound, truth = np.array(self._clearances).T
        valid = np.isfinite(found)
        share = {"clearance_valid_share": float(valid.mean())}
        scores = replace(scores, values=scores.values | share)
        scores = scores.with_mean("clearance_err_mm", 1e3 * np.abs(found - truth)[valid])
        return scores.with_mean("clearance_bound_holds", (bound <= truth)[valid].astype(float))
