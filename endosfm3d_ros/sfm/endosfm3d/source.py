"""Depth, motion and intrinsics from the networks of EndoSfM3D (arXiv 2510.22359).

Images are RGB uint8 of any size; the networks see them at their own size, stretched, in [0, 1]
without mean or standard deviation, as they were trained. All depths and translations share one
arbitrary unit: the caller brings the scale.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from endosfm3d_ros.engines import Engine, EngineSettings, obtain_engine
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.depth.source import DepthSource, IntrinsicsObservation
from endosfm3d_ros.sfm.endosfm3d.answers import NetworkDepth, NetworkMotion
from endosfm3d_ros.sfm.endosfm3d.arrays import (
    camera_belief,
    camera_of,
    network_tensor,
    resized_image,
)
from endosfm3d_ros.sfm.endosfm3d.confidence import (
    NetworkConfidenceConfig,
    expected_agreement,
    pixel_validity,
    scale_agreement,
    time_agreement,
)
from endosfm3d_ros.sfm.endosfm3d.depth_forward import depth_forward
from endosfm3d_ros.sfm.endosfm3d.engines import depth_recipe, pose_recipe
from endosfm3d_ros.sfm.endosfm3d.weights import WeightSet, find_weights
from endosfm3d_ros.types import DepthMap, Frame, IntrinsicsEstimate, ScaleSource

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class EndoSfM3DConfig:
    """Which networks run, and how often.

    Raises:
        ConfigurationError: `pose_every` is less than 1.
    """

    weights: str = ""  # name or folder of a set; empty: the first that is installed
    size: tuple[int, int] | None = None  # (height, width) of the depth network; None: as trained
    pose_every: int = 1  # frames from one run of the pose network to the next
    engines: EngineSettings = field(default_factory=EngineSettings)
    confidence: NetworkConfidenceConfig = field(default_factory=NetworkConfidenceConfig)

    def __post_init__(self) -> None:
        if self.pose_every < 1:
            raise ConfigurationError(f"pose_every {self.pose_every}: 1 or more is accepted")


@dataclass
class _Seen:
    """What is remembered of one frame."""

    stamp: int
    image: np.ndarray  # (H, W, 3) uint8, as it was looked at
    number: int  # frames since the start
    pose_input: np.ndarray | None  # (1, 3, H, W) float32; None without a pose network
    motion: NetworkMotion | None = None  # from the frame before
    inverse_depth: np.ndarray | None = None  # at network size


class EndoSfM3D(DepthSource):
    """A depth source made of one or two engines. Use it from one thread at a time.

    Confidence is the product of three factors in 0..1: whether the pixel carries an image
    (black and highlights do not), how well the two finest scales of the network agree, and how
    well the depth agrees with that of the last frame where the motion is known. See
    `confidence`; nothing of it is fitted to errors.
    """

    name = "endosfm3d"
    foresees_motion = True

    def __init__(
        self,
        depth: Engine,
        pose: Engine | None = None,
        config: EndoSfM3DConfig | None = None,
        weights: WeightSet | None = None,
    ) -> None:
        self.config = config or EndoSfM3DConfig()
        self.weights = weights  # None where the engines were made of something else
        self._depth, self._pose = depth, pose
        self._forward = depth_forward(depth)
        self._depth_size = depth.inputs[0].shape[2:]
        self._pose_size = pose.inputs[0].shape[2:] if pose else self._depth_size
        self._takes_belief = pose is not None and len(pose.inputs) > 1
        self.reset()

    @classmethod
    def installed(
        cls, config: EndoSfM3DConfig | None = None, report: Callable[[str], None] = log.info
    ) -> EndoSfM3D:
        """The source made of an installed weight set; builds its engines where needed.

        `report` hears what is being built, and every few seconds that it still is.

        Raises:
            ConfigurationError: no weights are installed, or no engine can run them.
        """
        config = config or EndoSfM3DConfig()
        weights = find_weights(config.weights)
        depth = obtain_engine(depth_recipe(weights, config.size), config.engines, report)
        pose = None
        if weights.has_pose:
            pose = obtain_engine(pose_recipe(weights), config.engines, report)
        return cls(depth, pose, config, weights)

    @property
    def engines(self) -> list[Engine]:
        """What runs, for status messages."""
        return [engine for engine in (self._depth, self._pose) if engine]

    @property
    def notes(self) -> list[str]:
        """What the user should know about the weights, and back ends that were not taken."""
        note = self.weights.note if self.weights else ""
        notes = [f"weights '{self.weights.name}': {note}"] if note else []
        return notes + [
            f"{engine.info.network} runs on {engine.info.backend}, not on {reason}"
            for engine in self.engines
            for reason in engine.info.refused
        ]

    @property
    def backend(self) -> str:
        """Weights, and what runs them."""
        weights = f"{self.weights.name}: " if self.weights else ""
        return weights + ", ".join(str(engine.info) for engine in self.engines)

    def reset(self) -> None:
        """Forget the frames seen so far."""
        self._previous: _Seen | None = None
        self._current: _Seen | None = None

    def depth(self, image: np.ndarray) -> NetworkDepth:
        """Depth of one (H, W, 3) RGB uint8 image, on its own.

        Raises:
            InputError: not such an image.
        """
        inverse, confidence = self._run_depth(image)
        return _enlarged(inverse, confidence, image.shape[:2])

    def motion(self, previous: np.ndarray, current: np.ndarray) -> NetworkMotion | None:
        """Motion between two images and the camera that took them, at the size of `current`.

        None where the network's answer is not finite.

        Raises:
            ConfigurationError: the weight set has no pose network.
            InputError: not (H, W, 3) RGB uint8 images.
        """
        if self._pose is None:
            raise ConfigurationError("this weight set has no pose network: pose.pth is missing")
        inputs = [network_tensor(resized_image(x, self._pose_size)) for x in (previous, current)]
        size = current.shape[:2]
        return self._run_pose(*inputs, size, None, lambda: self._run_depth(previous)[0])

    def estimate(self, frame: Frame, camera: PinholeCamera) -> DepthMap:
        """Scale-free depth at the size of `frame.image`, which has no lens distortion.

        Raises:
            InputError: the image is not (H, W, 3) uint8.
        """
        # 1 motion since the frame before, where it is due
        seen = self._see(frame)
        previous = self._previous.inverse_depth if self._previous else None
        # 2 depth, and what it is worth
        inverse, confidence = self._run_depth(frame.image)
        if seen.motion and previous is not None:
            confidence *= time_agreement(
                inverse,
                previous,
                seen.motion.T_current_previous,
                camera.undistorted().resized(*self._depth_size[::-1]),
                self.config.confidence.time_tolerance,
            )
        seen.inverse_depth = inverse
        # 3 to the size of the image
        result = _enlarged(inverse, confidence, frame.image.shape[:2])
        return DepthMap(
            depth=result.depth,
            confidence=result.confidence,
            camera=camera.undistorted(),
            source=self.name,
            scale=ScaleSource.RELATIVE,
            stamp=frame.stamp,
        )

    def motion_prior(
        self, frame: Frame, known: IntrinsicsEstimate | None = None
    ) -> tuple[np.ndarray, IntrinsicsObservation | None] | None:
        """T_current_previous (4x4) from the last frame given to this source, and the camera seen.

        None for a first frame, on frames between two runs of the pose network, without one, or
        where its answer is not finite. Give it the frame that `estimate` gets, and call it first:
        the better the camera is `known`, the better the motion, where the network can be told.
        """
        motion = self._see(frame, known).motion
        if motion is None:
            return None
        if motion.camera is None:
            return motion.T_current_previous, None
        seen = IntrinsicsObservation(motion.camera, frame.stamp, not self._takes_belief)
        return motion.T_current_previous, seen

    def _see(self, frame: Frame, known: IntrinsicsEstimate | None = None) -> _Seen:
        """Enter a frame once; another image of the same stamp takes the place of the first.

        A stamp that goes back starts anew.
        """
        now = self._current
        if now and frame.stamp == now.stamp and frame.image is now.image:
            return now
        if now and frame.stamp < now.stamp:
            self.reset()
        elif now and frame.stamp > now.stamp:
            self._previous = now
        number = self._previous.number + 1 if self._previous else 0
        tensor = None
        if self._pose:
            tensor = network_tensor(resized_image(frame.image, self._pose_size))
        self._current = _Seen(frame.stamp, frame.image, number, tensor)
        if self._pose and self._previous and number % self.config.pose_every == 0:
            before = self._previous
            size = frame.image.shape[:2]
            self._current.motion = self._run_pose(
                before.pose_input, tensor, size, known, lambda: before.inverse_depth
            )
        return self._current

    def _run_depth(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Inverse depth and confidence of one image, both (H, W) float32 at network size."""
        config = self.config.confidence
        answer = self._forward(image)
        if answer.log_error is not None:
            agreement = expected_agreement(answer.log_error, config.scale_tolerance)
        else:
            agreement = scale_agreement(answer.fine, answer.coarse, config.scale_tolerance)
        return answer.fine, pixel_validity(answer.image, config) * agreement

    def _run_pose(
        self,
        previous: np.ndarray,
        current: np.ndarray,
        size: tuple[int, int],
        known: IntrinsicsEstimate | None,
        inverse_depth_before: Callable[[], np.ndarray | None],
    ) -> NetworkMotion | None:
        """Motion of two prepared images; the camera at (height, width) `size`.

        The network maps points of its second image into the camera of the first, so the
        current one comes first. A translation that is given in shares of the previous image's
        typical depth is brought to its unit; where that depth is not known, it stays a share.
        """
        inputs = {"pair": np.concatenate([current, previous], axis=1)}
        if self._takes_belief:
            inputs["belief"] = camera_belief(known, size, self._pose_size)
        outputs = self._pose.run(inputs)
        axisangle = outputs["axisangle"][0]
        if "relative_translation" in outputs:
            unit = _typical_depth(inverse_depth_before())
            translation = unit * outputs["relative_translation"][0]
        else:
            translation = outputs["translation"][0]
        if not np.isfinite([axisangle, translation]).all():
            return None
        sees = self.weights is None or self.weights.knows_cameras
        camera = camera_of(outputs["q"], self._pose_size) if sees else None
        return NetworkMotion(
            T_current_previous=se3.from_vectors(axisangle, translation),
            camera=camera.resized(size[1], size[0]) if camera else None,
        )


def _typical_depth(inverse: np.ndarray | None) -> float:
    """Geometric mean over an inverse depth map; 1 without one."""
    if inverse is None:
        return 1.0
    log = np.nanmean(np.log(inverse[::4, ::4]))
    return float(np.exp(-log)) if np.isfinite(log) else 1.0


def _enlarged(inverse: np.ndarray, confidence: np.ndarray, size: tuple[int, int]) -> NetworkDepth:
    """Network-size maps at (height, width), interpolated in inverse depth."""
    width_height = size[1], size[0]
    inverse = cv2.resize(inverse, width_height, interpolation=cv2.INTER_LINEAR)
    confidence = cv2.resize(confidence, width_height, interpolation=cv2.INTER_LINEAR)
    return NetworkDepth(inverse, np.where(np.isnan(inverse), np.float32(0), confidence))
