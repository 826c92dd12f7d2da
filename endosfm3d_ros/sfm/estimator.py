"""The sfm stage as one verb: a frame in; depth, intrinsics and pose out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.geometry.undistortion import Undistorter
from endosfm3d_ros.inputs.plausibility import require_picture
from endosfm3d_ros.runtime.timing import Slack, StageClock
from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig, IntrinsicsFilter
from endosfm3d_ros.sfm.depth.shading import ShadingConfig
from endosfm3d_ros.sfm.depth.source import DepthSource
from endosfm3d_ros.sfm.depth.stereo import StereoConfig
from endosfm3d_ros.sfm.depth.view import within_view
from endosfm3d_ros.sfm.depth_sources import AUTO, DepthSources
from endosfm3d_ros.sfm.endosfm3d.source import EndoSfM3DConfig
from endosfm3d_ros.sfm.features.degradation import CAUSES, DegradationConfig, PictureWatch
from endosfm3d_ros.sfm.scale.normaliser import ScaleConfig
from endosfm3d_ros.sfm.scale.sources import ScaleSourcesConfig
from endosfm3d_ros.sfm.scale.stage import ScaleStage
from endosfm3d_ros.sfm.tracking.motion import MotionTracker
from endosfm3d_ros.sfm.tracking.motion_config import MotionConfig
from endosfm3d_ros.types import Frame, IntrinsicsEstimate, MotionPrior, SceneUpdate


@dataclass(frozen=True)
class EstimatorConfig:
    """Settings of every part of the stage."""

    depth_source: str = AUTO  # one of `depth_sources.NAMES`
    stereo: StereoConfig = field(default_factory=StereoConfig)
    shading: ShadingConfig = field(default_factory=ShadingConfig)
    network: EndoSfM3DConfig = field(default_factory=EndoSfM3DConfig)
    degradation: DegradationConfig = field(default_factory=DegradationConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    intrinsics: IntrinsicsConfig = field(default_factory=IntrinsicsConfig)
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    scale_sources: ScaleSourcesConfig = field(default_factory=ScaleSourcesConfig)
    background: bool = False  # live: slow refinement beside the frames instead of in them


class Estimator:
    """Depth, self-calibration and motion of one video stream.

    The depth source is chosen at the first frame and kept until `reset`: a stream whose scale
    changed from metric to relative half-way would be worse than one that stops.

    Args:
        config: settings.
        report: hears what is being built, and every few seconds that it still is.
        slack: of the frames; where it is scarce, work beside them gives way.

    Raises:
        ConfigurationError: an unknown source, or one that was asked for and cannot be made.
    """

    def __init__(
        self,
        config: EstimatorConfig | None = None,
        report: Callable[[str], None] = logging.getLogger(__name__).info,
        slack: Slack | None = None,
    ) -> None:
        self.config = config or EstimatorConfig()
        self._sources = DepthSources(self.config, report)
        c = self.config
        self._intrinsics = IntrinsicsFilter(c.intrinsics, c.background, slack)
        self._motion = MotionTracker(c.motion, c.background, slack)
        self._scale = ScaleStage(c.scale, c.scale_sources, c.stereo, c.background)
        self._undistorter = Undistorter()
        self._picture = PictureWatch(c.degradation)
        self.source: DepthSource | None = None
        self._bend: tuple[float, ...] | None = (
            None  # distortion that the last image was believed in
        )

    def reset(self) -> None:
        """Forget the stream; the next frame is a first frame."""
        self.source = self._bend = None
        for part in (
            *self._sources, self._picture, self._intrinsics, self._motion, self._scale
        ):  # fmt: skip
            part.reset()

    @property
    def intrinsics_mode(self) -> str:
        """How a given calibration is used now."""
        return self._intrinsics.mode

    def set_intrinsics_mode(self, mode: str) -> None:
        """From the next frame on; what was learnt about the camera in another mode is forgotten.

        Raises:
            ConfigurationError: an unknown mode.
        """
        self._intrinsics.set_mode(mode)

    def match_eyes_at(self, share: float) -> None:
        """Compare the eyes at this share of the configured width from the next frame on."""
        for source in self._sources:
            source.match_at(share)

    def estimate(self, frame: Frame, clock: StageClock) -> SceneUpdate:
        """One frame through the stage.

        Raises:
            InputError: an image that nothing can be done with, or the chosen source cannot work on
                this frame.
        """
        require_picture(frame.image)
        # 1 which source, and once for everything after it: which camera took the image
        if self.source is None:
            self.source = self._sources.best_for(frame)
        with clock.stage("intrinsics"):
            spoilt = self._picture.look(frame)
            intrinsics = self._intrinsics.update(frame, learn=not spoilt)
        lens = self.source.lens(frame, intrinsics.camera)
        self._watch(lens)
        # 2 the image as everybody looks at it: of a pinhole, unless the source wants it raw
        with clock.stage("undistort"):
            seen, camera = (frame, lens) if self.source.takes_raw else self._straight(frame, lens)
        # 3 depth, and the motion that a network foresees
        prior = self._motion_prior(seen, intrinsics, clock)
        with clock.stage("depth"):
            depth = self._scale.normalise(self.source.estimate(seen, lens))
        with clock.stage("motion"):
            motion = None if prior is None else prior.T_current_previous
            motion = None if motion is None else self._scale.normalise_motion(motion)
            tracked = self._motion.track(seen, depth, motion, camera, learn=not spoilt)
        # 4 metres
        with clock.stage("scale"):
            focal_sigma = np.sqrt(intrinsics.covariance[0, 0]) / intrinsics.camera.fx
            points = tracked.landmarks.through(camera, lens)
            change = self._scale.observe(
                seen, tracked.depth, tracked.pose, points, float(focal_sigma), raw=frame
            )
            if change != 1.0:
                tracked = self._motion.rescale(change)
            depth = self._scale.claim(tracked.depth)
        # 5 image and labels in the pixels of the depth
        straight, _ = self._straight(seen, camera)
        image, labels = _at_size(straight, depth.camera.size)
        if not self.source.sees_surround:
            depth = within_view(depth, image)
        return SceneUpdate(
            frame, image, depth, intrinsics, tracked.pose, lens=lens, labels=labels,
            scale=self._scale.estimate, motion_prior=prior,
        )  # fmt: skip

    def _watch(self, lens: PinholeCamera) -> None:
        """Another bend makes other images of the same scene: key frames are not of their kind."""
        bend = lens.distortion if lens.distorted else ()
        if self._bend not in (None, bend):
            self._motion.restart()
        self._bend = bend

    def _motion_prior(
        self, frame: Frame, known: IntrinsicsEstimate, clock: StageClock
    ) -> MotionPrior | None:
        """What the pose network reads from this image and the last; None without one.

        The camera that it sees counts from the next frame on.
        """
        if not self.source.foresees_motion:
            return None
        with clock.stage("pose"):
            found = self.source.motion_prior(frame, known)
        if found is None:
            return None
        motion, seen = found
        if seen is not None and seen.independent:
            self._intrinsics.observe(seen.camera)
        return MotionPrior(motion, None if seen is None else seen.camera)

    def notes(self) -> list[str]:
        """What the user should know about the picture, the choice of the source and back ends."""
        cause = self._picture.cause
        spoilt = [f"the picture {CAUSES[cause]}: nothing is learnt from it"] if cause else []
        failed = self._intrinsics.notes + ([self._motion.note] if self._motion.note else [])
        source = []
        if self.source is not None:
            source = self.source.notes + self._sources.note(self.source)
        return spoilt + source + self._scale.notes() + failed

    def backend(self) -> str:
        """What runs the networks; "none" where none run."""
        return self.source.backend if self.source is not None else "none"

    def k_seen_by(self) -> str:
        """Which stages have read the given calibration since `reset`, comma separated."""
        readers = {
            "stereo": self.source is not None and self.source.reads_calibration,
            "intrinsics": self._intrinsics.reads_calibration,
            "scale": self._scale.reads_calibration,
        }
        return ",".join(name for name, reads in readers.items() if reads)

    def _straight(self, frame: Frame, camera: PinholeCamera) -> tuple[Frame, PinholeCamera]:
        """The frame as a pinhole would have seen it, and that pinhole."""
        if not camera.distorted:
            return frame, camera
        image = self._undistorter.apply(frame.image, camera)
        depth, labels = (
            None if plane is None else self._undistorter.apply(plane, camera, exact=True)
            for plane in (frame.depth, frame.tool_labels)
        )
        straight = replace(frame, image=image, depth=depth, tool_labels=labels)
        return straight, camera.undistorted()


def _at_size(frame: Frame, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray | None]:
    """Image and labels of a frame at (width, height)."""
    image, labels = frame.image, frame.tool_labels
    if labels is not None and labels.shape[::-1] != size:
        labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
    if image.shape[1::-1] != size:
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    return image, labels
