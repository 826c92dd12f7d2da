"""Models of instruments as a part of the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.evaluation.parts import Part, Scores
from endosfm3d_ros.evaluation.tools import ToolsProtocol, evaluate_tools
from endosfm3d_ros.evaluation.tools_pictures import ToolsGallery
from endosfm3d_ros.pipeline import Pipeline
from endosfm3d_ros.types import SceneUpdate


class ToolsPart(Part):
    """A run of its own after the pipeline's, with the clip's masks; see `evaluation.tools`.

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

    def add(self, i: int, update: SceneUpdate) -> None:
        pass

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
        texts = {"source": result.source, "align": self._protocol.alignment}
        if result.notes:
            texts["unplaced_because"] = "; ".join(sorted(result.notes))
        return replace(scores, values=scores.values | texts)
