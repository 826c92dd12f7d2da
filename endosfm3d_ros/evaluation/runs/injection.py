"""References in place of estimates, part by part, to see where an error comes from.

Depth, masks and the camera enter as somebody else would send them: with the frame. The pose has no
such door, as nothing outside may move the camera; it is put between the halves of the pipeline.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain, combinations
from typing import Any

import numpy as np

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.evaluation.runs.given_masks import GivenMasks
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig
from endosfm3d_ros.sfm.depth.external import ExternalSource
from endosfm3d_ros.tools.segmentation.topic import TopicSource
from endosfm3d_ros.types import CameraPose, Frame, ScaleSource, SceneUpdate, TrackingState


@dataclass(frozen=True)
class Injection:
    """Which estimates give way to the reference."""

    depth: bool = False
    pose: bool = False
    mask: bool = False
    K: bool = False

    @classmethod
    def of(cls, names: Iterable[str]) -> Injection:
        """The named parts.

        Raises:
            ConfigurationError: an unknown name, or none.
        """
        names = tuple(names)
        for name in names or ("",):
            if name not in cls.__dataclass_fields__:
                accepted = ", ".join(cls.__dataclass_fields__)
                raise ConfigurationError(f"--inject '{name}': accepted are {accepted}")
        return cls(**dict.fromkeys(names, True))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the parts that are injected."""
        return tuple(name for name in self.__dataclass_fields__ if getattr(self, name))

    def combinations(self) -> list[Injection]:
        """Every choice among the parts: nothing first, all of them last."""
        counts = range(len(self.names) + 1)
        chosen = chain.from_iterable(combinations(self.names, count) for count in counts)
        return [Injection(**dict.fromkeys(names, True)) for names in chosen]

    def __str__(self) -> str:
        return " + ".join(self.names) or "nothing"

    def settings(self, pipeline: PipelineConfig) -> PipelineConfig:
        """The same pipeline, taking what is injected from the frames."""
        sfm, tools = pipeline.sfm, pipeline.tools
        if self.depth:
            sfm = replace(sfm, depth_source=ExternalSource.name)
        if self.K:
            sfm = replace(sfm, intrinsics=IntrinsicsConfig(mode="fixed"))
        if self.mask and tools is not None:
            tools = replace(tools, masks=TopicSource.name)
        return replace(pipeline, sfm=sfm, tools=tools)


def require_references(sequence: Sequence, injection: Injection) -> None:
    """Every frame must have what is injected: half a truth would be another experiment.

    Raises:
        ConfigurationError: a frame without it; the first one is named.
    """
    has = {
        "depth": lambda i: sequence.reference_depth(i) is not None,
        "pose": lambda i: sequence.reference_pose(i) is not None,
        "mask": lambda i: sequence.mask(i) is not None or sequence.instances(i) is not None,
        "K": lambda i: _camera(sequence, i) is not None,
    }
    for name in injection.names:
        for i in range(len(sequence)):
            if not has[name](i):
                raise ConfigurationError(
                    f"--inject {name}: frame {sequence.number(i)} of {sequence.name} has no "
                    f"reference for it, and every frame needs one; leave {name} out"
                )


class InjectedFrames(GivenMasks):
    """A clip whose frames carry its own references, and which answers for them as the clip does."""

    def __init__(self, sequence: Sequence, injection: Injection) -> None:
        super().__init__(sequence)
        self._injection = injection
        self.poses_metric = sequence.poses_metric
        for name in vars(Sequence):
            if not name.startswith("_") and callable(getattr(sequence, name)):
                setattr(self, name, getattr(sequence, name))

    def __iter__(self) -> Iterator[Frame]:
        frames = super().__iter__() if self._injection.mask else iter(self._sequence)
        for i, frame in enumerate(frames):
            known: dict[str, Any] = {}
            if self._injection.depth:
                known["depth"] = self._sequence.reference_depth(i)
            if self._injection.K:
                known["camera"] = _camera(self._sequence, i)
            yield replace(frame, **known)


class InjectedPipeline(Pipeline):
    """A pipeline whose camera goes where the reference goes.

    Frames come in order. A scene without metres gets the reference in its own unit: the median of
    depth over reference depth in its first frame.

    Args:
        config: of the pipeline.
        sequence: the clip that is played.
        poses: whether to put in the reference; else this is an ordinary pipeline.
    """

    def __init__(self, config: PipelineConfig, sequence: Sequence, poses: bool) -> None:
        super().__init__(config)
        self._sequence, self._poses = sequence, poses
        self._at, self._unit = 0, 1.0

    def process(self, frame: Frame) -> SceneUpdate:
        """As of any pipeline, with the reference between its halves."""
        tracked = self.track(frame)
        if self._poses:
            pose = self._pose(self._at, tracked.update)
            tracked = replace(tracked, update=replace(tracked.update, pose=pose))
        self._at += 1
        return self.map(tracked)

    def _pose(self, i: int, update: SceneUpdate) -> CameraPose:
        first, now = (self._sequence.reference_pose(k) for k in (0, i))
        if i == 0:
            self._unit = self._unit_of(update)
        T = np.linalg.inv(first) @ now
        T[:3, 3] *= self._unit
        return CameraPose(
            T, np.eye(4), np.zeros((6, 6)), TrackingState.TRACKING, update.pose.inliers
        )

    def _unit_of(self, update: SceneUpdate) -> float:
        """Units of the scene per metre."""
        if update.depth.scale != ScaleSource.RELATIVE:
            if self._sequence.poses_metric:
                return 1.0
            raise ConfigurationError(
                f"--inject pose: the poses of {self._sequence.name} are not in metres, and the "
                "scene is; leave pose out"
            )
        reference = self._sequence.reference_depth(0)
        if reference is None:
            raise ConfigurationError(
                f"--inject pose: the scene has no metres and {self._sequence.name} no depth to "
                "compare with; leave pose out"
            )
        return float(np.nanmedian(update.depth.depth) / np.nanmedian(reference))


def _camera(sequence: Sequence, i: int) -> PinholeCamera | None:
    return sequence.reference_camera(i) or sequence.camera
