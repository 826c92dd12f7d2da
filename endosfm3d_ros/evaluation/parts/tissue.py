"""The tissue map as a part of the report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.evaluation.parts.estimates import Part, Scores
from endosfm3d_ros.evaluation.pictures.tissue import TissueGallery
from endosfm3d_ros.evaluation.runs.tissue import evaluate_tissue
from endosfm3d_ros.evaluation.runs.tissue_protocol import TissueProtocol, TissueResult
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.tissue.config import TissueConfig
from endosfm3d_ros.types import ScaleSource, SceneUpdate

METRIC = ("depth_median_rel_err",)  # means nothing where the scale is relative


class TissuePart(Part):
    """Runs of its own after the pipeline's: holding frames out is no business of a live stream.

    Args:
        sequence: the clip.
        pipeline: whose settings are used.
        live: with the time of a live update, else with the steps of offline processing.
        pictures: folder for `tissue.png`, `tissue.mp4` and `tissue_psnr.png`; None for none.
    """

    name = "tissue"

    def __init__(
        self,
        sequence: Sequence,
        pipeline: Pipeline,
        live: bool = False,
        pictures: Path | None = None,
    ) -> None:
        super().__init__(sequence, pipeline)
        self._live = live
        self._pictures = pictures
        self._metric = True

    def add(self, i: int, update: SceneUpdate) -> None:
        self._metric &= update.depth.scale != ScaleSource.RELATIVE

    def scores(self) -> Scores | None:
        if len(self._sequence) < 2:
            return None
        config = self._pipeline.config
        protocol = TissueProtocol(
            sfm=config.sfm,
            tissue=config.tissue or (TissueConfig() if self._live else TissueConfig.fine()),
            budget=(config.tissue_budget or TissueProtocol().budget) if self._live else None,
        )
        if self._pictures is None:
            return self._as_scores(evaluate_tissue(self._sequence, protocol))
        gallery = TissueGallery(self._pictures, self._sequence.fps)
        scores = self._as_scores(evaluate_tissue(self._sequence, protocol, gallery.add))
        gallery.write()
        return scores

    def _as_scores(self, result: TissueResult) -> Scores:
        scores = Scores(frames=len(result.columns.get("p2_psnr", ())))
        for name, value in result.means().items():
            if name in METRIC and not self._metric:
                continue
            if name in result.columns:
                scores = scores.with_mean(name, np.array(result.columns[name]))
            else:
                scores = replace(scores, values=scores.values | {name: value})
        return scores
