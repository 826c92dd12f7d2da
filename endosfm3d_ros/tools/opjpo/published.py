"""Aligners to compare with: the published one, and none at all."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.tools.opjpo.paper import (
    PaperConfig,
    exhaustive_search,
    orthographic_scale,
    tissue_points,
)
from endosfm3d_ros.tools.opjpo.scale import ScaleConfig, scale_of
from endosfm3d_ros.tools.opjpo.trust import TrustConfig, unusable
from endosfm3d_ros.tools.shapes.silhouette import overlap, silhouette
from endosfm3d_ros.tools.types import ToolModel, ToolObservation, ToolPlacement


class BirthAligner:
    """No alignment: the model stays in the pose it was made in, and gets its scale from depth.

    Raises:
        ConfigurationError: the model does not know the view that it was made from.
    """

    def __init__(self, model: ToolModel) -> None:
        if model.birth is None:
            raise ConfigurationError(
                f"a model from source '{model.source}' has no view of its own, so it needs the "
                "alignment 'joint'"
            )
        self.model = model
        self.R, self.t = model.birth[:3, :3], model.birth[:3, 3]
        self.points = model.vertices @ self.R.T + self.t  # camera frame, model units

    def place(
        self, observation: ToolObservation, previous: ToolPlacement | None = None
    ) -> ToolPlacement:
        """The model with the scale that depth, or the previous placement, gives it."""
        if reason := unusable(observation, TrustConfig()):
            return ToolPlacement.nowhere(reason, observation.stamp)
        scale = scale_of(self.points, self.model, observation, previous, ScaleConfig())
        if scale is None:
            return ToolPlacement.nowhere("no depth at the tool", observation.stamp)
        return self.placement(observation, scale.value, np.zeros(3))

    def placement(
        self, observation: ToolObservation, scale: float, translation: np.ndarray
    ) -> ToolPlacement:
        """The scaled model moved by a translation; its uncertainty is not estimated."""
        t = scale * self.t + translation
        posed = self.model.vertices @ (scale * self.R.T) + t
        solid = silhouette(posed, self.model.faces, observation.camera)
        return ToolPlacement(
            R=self.R,
            t=t,
            scale=scale,
            iou=overlap(solid, observation.mask),
            covariance=np.full((6, 6), np.nan),
            scale_deviation=np.nan,
            trusted=False,
            reason="this alignment does not estimate its uncertainty",
            stamp=observation.stamp,
        )


class PaperAligner(BirthAligner):
    """The published alignment; every frame anew, as there."""

    def __init__(self, model: ToolModel, config: PaperConfig | None = None) -> None:
        super().__init__(model)
        self.config = config or PaperConfig()

    def place(
        self, observation: ToolObservation, previous: ToolPlacement | None = None
    ) -> ToolPlacement:
        """Orthographic scale, then exhaustive search; `previous` is not used."""
        if reason := unusable(observation, TrustConfig()):
            return ToolPlacement.nowhere(reason, observation.stamp)
        if observation.tissue_depth is None:
            return ToolPlacement.nowhere("no tissue depth", observation.stamp)
        mask, camera = observation.mask, observation.camera
        try:
            tissue = tissue_points(mask, observation.tissue_depth, camera)
            scale = orthographic_scale(self.points, tissue, self.config).s
        except InputError as error:
            return ToolPlacement.nowhere(str(error), observation.stamp)
        best = exhaustive_search(scale * self.points, mask, camera, self.config)
        return self.placement(observation, scale, best.translation)
