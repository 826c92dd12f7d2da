"""Where the camera is in the map: the tracker's word, checked and corrected against the map."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.runtime.timing import StageClock
from endosfm3d_ros.tissue.appearance.rendering import Rendering, render
from endosfm3d_ros.tissue.appearance.visibility import Visibility, project
from endosfm3d_ros.tissue.camera.map_keyframes import Keyframes
from endosfm3d_ros.tissue.camera.odom_correction import MapOdomCorrection
from endosfm3d_ros.tissue.camera.registration import register
from endosfm3d_ros.tissue.camera.scale_alignment import ScaleAlignment
from endosfm3d_ros.tissue.deformation.model_flow import ModelFlow
from endosfm3d_ros.tissue.deformation.samples import sample_motion
from endosfm3d_ros.tissue.deformation.solver import Samples
from endosfm3d_ros.tissue.observation import DepthNoise, Observation
from endosfm3d_ros.tissue.store.gaussians import GaussianStore
from endosfm3d_ros.types import DepthMap

if TYPE_CHECKING:
    from endosfm3d_ros.tissue.config import TissueConfig


@dataclass(frozen=True)
class MapInput:
    """One call of `TissueMap.update`, as every step needs it."""

    image: np.ndarray
    depth: DepthMap
    seen: Observation
    T_map_tracker: np.ndarray
    tracked: bool  # by the tracker
    noise: DepthNoise
    metric: bool
    deadline: float | None


@dataclass(frozen=True)
class PoseHypothesis:
    """The map from where the camera may be."""

    T_map_camera: np.ndarray  # 4x4
    view: Rendering
    visible: Visibility
    depth: np.ndarray  # (h, w) measured, at the scale of the map
    samples: Samples
    support: float  # share of the common view that the image confirms


@dataclass(frozen=True)
class Correction:
    """What the tracker's pose lacked."""

    T_map_camera: np.ndarray  # 4x4
    samples: Samples  # seen from there
    whole: np.ndarray | None = (
        None  # 4x4 motion of map and camera together; see `MapOdomCorrection`
    )


class Localiser:
    """Pose of the camera in the map, tied to the tracker's.

    Args:
        config: settings of the map.
    """

    def __init__(self, config: TissueConfig) -> None:
        self.config = config
        self.odom_correction = MapOdomCorrection(config.registration.return_rate)
        self.alignment = ScaleAlignment(config.alignment)
        self.keyframes = Keyframes(config.keyframes)
        self._flow = ModelFlow(config.flow)

    def rescale(self, factor: float) -> None:
        """Map and tracker become larger by a factor, and so does depth: their ratio stays."""
        self.odom_correction.rescale(factor)
        self.keyframes.rescale(factor)

    def find(
        self, store: GaussianStore, T_expected: np.ndarray, given: MapInput, clock: StageClock
    ) -> PoseHypothesis | None:
        """The map from where the camera is, against the image.

        Args:
            store: predicted Gaussians.
            T_expected: 4x4 of `MapOdomCorrection.expect`.
            given: the image.
            clock: takes the times.

        Returns:
            None where neither the tracker nor the map knows.
        """
        guess = self._look_from(store, T_expected, given, clock)
        sure = given.tracked and not self.odom_correction.resumed
        if sure or guess.support >= self.config.min_support:
            return guess
        with clock.stage("relocalise"):
            return self._relocalise(store, given, clock)

    def correct(self, guess: PoseHypothesis, given: MapInput) -> Correction:
        """The tracker's pose where depth is metric, else corrected against the map.

        With metric depth the tracker's key frames drift less than a map that deforms; without,
        its scale is only as good as one depth map, and the map's is that of all of them.
        """
        if given.metric and given.tracked:
            return Correction(guess.T_map_camera, guess.samples)
        found = register(guess.samples, self.config.registration)
        if not found.accepted:
            return Correction(guess.T_map_camera, guess.samples)
        T = guess.T_map_camera @ se3.inverse(found.T_camera_predicted)
        points = se3.transform(found.T_camera_predicted, guess.samples.points)
        samples = replace(guess.samples, points=points)
        if not given.tracked:
            return Correction(T, samples)
        step = self.odom_correction.correct(T, given.T_map_tracker)
        self.keyframes.move(step)
        return Correction(step @ T, samples, step)

    def _look_from(
        self, store: GaussianStore, T: np.ndarray, given: MapInput, clock: StageClock
    ) -> PoseHypothesis:
        """The map from a pose against the image; depth without a scale is brought to the map's."""
        c, seen = self.config, given.seen
        with clock.stage("predict"):
            view = render(store, seen.camera, T)
            visible = project(view, c.fusion.surface)
        if not given.metric:
            seen = replace(seen, depth=self.alignment.align(seen.depth, view))
        with clock.stage("flow"):
            worth = c.deformation.metric_depth if given.metric else c.deformation.relative_depth
            flow = self._flow.measure(view, seen)
            samples = sample_motion(store, visible, seen, flow, T, worth, c.deformation.samples)
        return PoseHypothesis(T, view, visible, seen.depth, samples, flow.support)

    def _relocalise(
        self, store: GaussianStore, given: MapInput, clock: StageClock
    ) -> PoseHypothesis | None:
        """The first remembered view that the image confirms, or None."""
        for T in self.keyframes.retrieve(given.seen):
            near = self._look_from(store, T, given, clock)
            found = register(near.samples, self.config.registration)
            if not found.accepted:
                continue
            T_found = T @ se3.inverse(found.T_camera_predicted)
            guess = self._look_from(store, T_found, given, clock)
            if guess.support >= self.config.min_support:
                if given.tracked:
                    self.odom_correction.attach(guess.T_map_camera, given.T_map_tracker)
                return guess
        return None
