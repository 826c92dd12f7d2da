"""Scale as one part of the estimator: who measures it when, and what follows from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.inputs.plausibility import DEPTH
from endosfm3d_ros.runtime.worker import Background
from endosfm3d_ros.sfm.depth.stereo import StereoConfig, StereoSource
from endosfm3d_ros.sfm.scale.normaliser import MetricScale, ScaleConfig, ScaleNormaliser
from endosfm3d_ros.sfm.scale.shafts import Measurement, from_shafts
from endosfm3d_ros.sfm.scale.sources import (
    KinematicScale,
    Landmarks,
    ScaleSourcesConfig,
    from_stereo,
)
from endosfm3d_ros.types import (
    CameraPose,
    DepthMap,
    Frame,
    ScaleEstimate,
    ScaleSource,
    TrackingState,
)


class ScaleStage:
    """Before tracking `normalise`, after it `observe`, then `claim`.

    Args:
        config: which source is believed.
        sources: how they measure.
        stereo: settings of the occasional look at the right eye.
        background: look at it on a thread of its own.
    """

    def __init__(
        self,
        config: ScaleConfig,
        sources: ScaleSourcesConfig,
        stereo: StereoConfig,
        background: bool,
    ) -> None:
        self._config, self._sources, self._stereo_config = config, sources, stereo
        self._look: Background[Measurement | None] = Background(
            background, name="the look at the right eye"
        )
        self._normaliser = ScaleNormaliser()
        self._metric = MetricScale(config)
        self._kinematics = KinematicScale(sources)
        self.reset()

    def reset(self) -> None:
        """A new stream."""
        self._normaliser.reset()
        self._metric.reset()
        self._kinematics.reset()
        self._stereo = StereoSource(self._stereo_config)  # a look under way keeps the old one
        self._look.forget()
        self._applied = 1.0  # what depth and motion are multiplied by already
        self._looked: int | None = None  # stamp of the last look at the right eye
        self.estimate: ScaleEstimate | None = None
        self._refused = ""  # why the newest estimate is not believed

    def normalise(self, depth: DepthMap) -> DepthMap:
        """Depth before tracking, in the units that a stream starts with."""
        return self._normaliser.apply(depth)

    def normalise_motion(self, T: np.ndarray) -> np.ndarray:
        """A motion (4x4) in the units of the source's depth, as `normalise` does with depth."""
        return se3.scaled(T, self._normaliser.factor)

    def observe(
        self,
        frame: Frame,
        depth: DepthMap,
        pose: CameraPose,
        points: Landmarks,
        focal_sigma: float = 0.0,
        raw: Frame | None = None,
    ) -> float:
        """Enter what this frame tells; returns the factor by which the scene must grow now.

        Args:
            frame: with labels in the pixels of a camera like that of `depth`.
            depth: in the units of the map.
            pose: of the camera, in these units.
            points: in these units, with their pixels in the image of `raw`.
            focal_sigma: doubt about the logarithm of the focal length that all were made with.
            raw: the frame as it came, for the pair; `frame` itself if not given.
        """
        relative = depth.scale == ScaleSource.RELATIVE
        if relative and self._config.source == "none":
            return 1.0  # nobody asks
        if pose.state == TrackingState.TRACKING:
            self._observe_robot(frame, pose)
        if not relative:
            self._metric.given(depth.scale)
            self._observe_tools(frame, depth)
            self.estimate = ScaleEstimate(1.0, 0.0, depth.scale, 0)
            return 1.0
        self._observe_tools(frame, depth)
        self._observe_right_eye(raw or frame, depth, points)
        self.estimate = self._plausible(self._metric.estimate(), depth)
        if self.estimate is None:
            return 1.0
        if self.estimate.source != ScaleSource.CONSTANT:
            # a wrong focal length stretches lengths along the view against those across it
            doubt = float(np.hypot(self.estimate.sigma, focal_sigma))
            self.estimate = replace(self.estimate, sigma=doubt)
        growth = self.estimate.factor / self._applied
        if growth != 1.0:
            self._applied = self.estimate.factor
            self._kinematics.reset()  # its path was measured in other units
        return growth

    def claim(self, depth: DepthMap) -> DepthMap:
        """Depth with the scale that is believed."""
        if depth.scale != ScaleSource.RELATIVE or self.estimate is None:
            return depth
        return replace(depth, scale=self.estimate.source)

    @property
    def reads_calibration(self) -> bool:
        """Whether the right eye was looked at, by the calibration that came along."""
        return self._looked is not None

    def notes(self) -> list[str]:
        """Sources that contradict each other, or fail."""
        said = [note for note in (self._look.note, self._refused) if note]
        return self._metric.notes() + said

    def _plausible(self, found: ScaleEstimate | None, depth: DepthMap) -> ScaleEstimate | None:
        """The estimate, unless it puts the tissue where no endoscope sees it.

        What was believed before stays then, with a doubt that nobody knows.
        """
        if found is None or not depth.valid.any():
            return found
        median = 1e3 * float(np.median(depth.depth[depth.valid])) * found.factor / self._applied
        if DEPTH.holds(median):
            self._refused = ""
            return found
        looks = ": these look like millimetres for metres" if DEPTH.holds(1e-3 * median) else ""
        self._refused = (
            f"scale from {found.source.value} is not believed: it puts the tissue {median:g} mm "
            f"away, {DEPTH} are accepted{looks}"
        )
        return None if self.estimate is None else replace(self.estimate, sigma=float("inf"))

    def _observe_robot(self, frame: Frame, pose: CameraPose) -> None:
        if frame.pose is None or not np.isfinite(frame.pose).all():
            return
        measured = self._kinematics.add(pose.T_map_camera, frame.pose)
        if measured is not None:
            self._enter(ScaleSource.KINEMATICS, measured, instead=True)

    def _observe_tools(self, frame: Frame, depth: DepthMap) -> None:
        if frame.tool_labels is None:
            return
        for measured in from_shafts(depth, frame.tool_labels, self._sources.shaft):
            self._enter(ScaleSource.TOOL_SHAFT, measured)

    def _observe_right_eye(self, frame: Frame, depth: DepthMap, points: Landmarks) -> None:
        """Now and then, where that is the chosen source: a look costs as much as stereo depth."""
        measured = self._look.take()
        if measured is not None:
            self._enter(ScaleSource.STEREO, measured)
        if self._config.source != "stereo" or frame.right_image is None or frame.stereo is None:
            return
        due = self._looked is None or frame.stamp - self._looked >= self._sources.stereo_every
        stereo = self._stereo
        if due and self._look.submit(lambda: self._compare(stereo, frame, depth, points)):
            self._looked = frame.stamp

    def _compare(
        self, stereo: StereoSource, frame: Frame, depth: DepthMap, points: Landmarks
    ) -> Measurement | None:
        try:
            lens = stereo.lens(frame, depth.camera)
            metric = stereo.estimate(frame, lens)
        except InputError:
            return None  # eyes that do not fit: the stream stays relative, and says so
        now, calibrated = (camera.fx / camera.width for camera in (depth.camera, metric.camera))
        # in the units that held when the look began
        seen = points.through(lens, metric.camera)
        return from_stereo(seen, metric, now / calibrated, self._sources)

    def _enter(self, source: ScaleSource, measured: Measurement, instead: bool = False) -> None:
        factor, sigma = measured
        self._metric.observe(source, self._applied * factor, sigma, instead)
