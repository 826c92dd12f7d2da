"""One clip through the pipeline, measured against the references that the clip has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args

import psutil

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.evaluation.metrics.protocols import DepthProtocol
from endosfm3d_ros.evaluation.parts.cloud import CloudPart
from endosfm3d_ros.evaluation.parts.estimates import DepthPart, IntrinsicsPart, Part, PosePart
from endosfm3d_ros.evaluation.parts.honesty import HonestyPart
from endosfm3d_ros.evaluation.parts.masks import MasksPart
from endosfm3d_ros.evaluation.parts.pairs import PairsPart
from endosfm3d_ros.evaluation.parts.tissue import TissuePart
from endosfm3d_ros.evaluation.parts.tools import ToolsPart
from endosfm3d_ros.evaluation.report import Report
from endosfm3d_ros.evaluation.runs.given_masks import GivenMasks
from endosfm3d_ros.evaluation.runs.injection import (
    InjectedFrames,
    InjectedPipeline,
    Injection,
    require_references,
)
from endosfm3d_ros.evaluation.runs.playback import OnFrame, Played, play_live, play_offline
from endosfm3d_ros.evaluation.runs.predictions import Predictions
from endosfm3d_ros.evaluation.runs.tools import ToolsProtocol
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.runtime.timing import LatencyWindow
from endosfm3d_ros.types import ScaleSource, SceneUpdate

Mode = Literal["live", "offline"]
PARTS = {
    part.name: part
    for part in (
        DepthPart,
        PosePart,
        PairsPart,
        IntrinsicsPart,
        HonestyPart,
        MasksPart,
        TissuePart,
        ToolsPart,
        CloudPart,
    )
}
FROM_FILES = (DepthPart.name, PosePart.name)
DEFAULT = (DepthPart.name, PosePart.name, IntrinsicsPart.name)


@dataclass(frozen=True)
class EvaluationConfig:
    """What is measured, and how the clip is played.

    Raises:
        ConfigurationError: an unknown part or mode, or masks without the stage that makes them.
    """

    what: tuple[str, ...] = DEFAULT
    mode: Mode = "offline"
    live_depth_maps: int = 100  # held until a live run is over; 130 MB at 640 x 512
    pipeline: PipelineConfig = field(default_factory=PipelineConfig)
    tools: ToolsProtocol = field(default_factory=ToolsProtocol)
    given_masks: bool = False  # the pipeline gets the clip's masks with its frames
    pictures: Path | None = None  # folder for pictures of the parts that make some
    protocol: DepthProtocol | None = None  # of depth; None scores every reference value
    predictions: Path | None = None  # files of another method, scored in place of the pipeline
    injection: Injection | None = None  # references in place of estimates

    @property
    def pipeline_settings(self) -> PipelineConfig:
        """Of the pipeline, with what is injected."""
        return self.injection.settings(self.pipeline) if self.injection else self.pipeline

    def __post_init__(self) -> None:
        accepted = f"accepted are {', '.join(PARTS)}"
        for name in self.what:
            if name not in PARTS:
                raise ConfigurationError(f"evaluation of {name!r}: {accepted}")
        if MasksPart.name in self.what and self.pipeline.tools is None:
            raise ConfigurationError("evaluation of 'masks': the pipeline must look for tools")
        if MasksPart.name in self.what and self.given_masks:
            raise ConfigurationError(
                "evaluation of 'masks': the clip's masks cannot be scored against themselves"
            )
        if self.predictions is not None and not set(self.what) <= set(FROM_FILES):
            raise ConfigurationError(
                f"--predictions: of the parts {', '.join(FROM_FILES)} can be scored from files"
            )
        if self.injection is not None:
            self._require_injectable()
        if not self.what:
            raise ConfigurationError(f"evaluation of nothing: {accepted}")
        if self.mode not in get_args(Mode):
            raise ConfigurationError(
                f"evaluation mode {self.mode!r}: accepted are {', '.join(get_args(Mode))}"
            )

    def _require_injectable(self) -> None:
        if self.mode != "offline" or self.predictions is not None or self.given_masks:
            raise ConfigurationError(
                "--inject needs --mode offline, and neither --predictions nor --masks reference"
            )
        for part, injected in ((TissuePart.name, "pose"), (MasksPart.name, "mask")):
            if part in self.what and injected in self.injection.names:
                raise ConfigurationError(
                    f"--inject {injected}: the part {part} cannot take it; leave one of them out"
                )


def evaluate(
    sequence: Sequence, config: EvaluationConfig, on_frame: OnFrame = lambda count: None
) -> Report:
    """Run the pipeline over the clip and score what was asked for.

    Args:
        sequence: the clip with its references; the pipeline sees its frames only.
        config: what and how.
        on_frame: called with the count of frames done, on the calling thread.

    Raises:
        InputError: the clip has no frames, or the depth source cannot work on one.
    """
    pipeline, frames = _pipeline_and_frames(sequence, config)
    live = config.mode == "live"
    asked = sequence if config.injection is None else frames
    parts = [_part(name, asked, pipeline, config) for name in config.what]
    observer = Observer(parts, len(sequence), settle=not live)
    play: Callable[..., Played] = play_live if live else play_offline
    played = play(frames, pipeline, observer.updated, on_frame)
    if not played.processed:
        raise InputError(f"{sequence.name} has no frames")
    for part in parts:
        part.settle()
    pipeline.close()
    return observer.report(sequence, config.mode, pipeline, played)


def _pipeline_and_frames(
    sequence: Sequence, config: EvaluationConfig
) -> tuple[Pipeline | Predictions, Sequence]:
    """What answers, and what it is asked about."""
    if config.predictions is not None:
        return Predictions(config.predictions, sequence), sequence
    if config.injection is not None:
        require_references(sequence, config.injection)
        frames = InjectedFrames(sequence, config.injection)
        poses = config.injection.pose
        return InjectedPipeline(config.pipeline_settings, sequence, poses), frames
    frames = GivenMasks(sequence) if config.given_masks else sequence
    return Pipeline(config.pipeline), frames


def _part(name: str, sequence: Sequence, pipeline: Pipeline, config: EvaluationConfig) -> Part:
    if name == DepthPart.name:
        limit = config.live_depth_maps if config.mode == "live" else None
        return DepthPart(sequence, pipeline, limit, config.protocol)
    if name == ToolsPart.name:
        return ToolsPart(sequence, pipeline, config.tools, config.pictures)
    if name == TissuePart.name:
        return TissuePart(sequence, pipeline, config.mode == "live", config.pictures)
    if name in (PosePart.name, IntrinsicsPart.name):
        return PARTS[name](sequence, pipeline, config.pictures)
    return PARTS[name](sequence, pipeline)


class Observer:
    """Takes every update: hands it to the parts, and notes times, memory and sources.

    Args:
        parts: what is measured.
        frames: of the clip.
        settle: score each update at once, between frames that wait for it.
    """

    def __init__(self, parts: list[Part], frames: int, settle: bool) -> None:
        self._parts = parts
        self._settle = settle
        self._latency = LatencyWindow(max(1, frames))
        self._process = psutil.Process()
        self._depth_stamps: set[int] = set()
        self._scales: set[ScaleSource] = set()
        self._depth_source = ""
        self._rss_max = 0

    def updated(self, i: int, update: SceneUpdate) -> None:
        """The result of the frame at position `i`."""
        self._latency.add(update.timings)
        self._depth_stamps.add(update.depth.stamp)
        self._scales.add(update.depth.scale)
        self._depth_source = update.depth.source
        held = sum(part.pending_bytes for part in self._parts)
        self._rss_max = max(self._rss_max, self._process.memory_info().rss - held)
        for part in self._parts:
            part.add(i, update)
            if self._settle:
                part.settle()

    def report(self, sequence: Sequence, mode: Mode, pipeline: Pipeline, played: Played) -> Report:
        """Everything measured, after the run."""
        return Report(
            clip=sequence.name,
            mode=mode,
            frames=len(sequence),
            frames_processed=played.processed,
            frames_dropped=played.dropped,
            rate_hz=played.processed / played.seconds,
            depth_rate_hz=len(self._depth_stamps) / played.seconds,
            input_hz=played.input_hz,
            clip_hz=sequence.fps,
            rss_mb_max=self._rss_max / 1e6,
            backend=pipeline.backend(),
            depth_source=self._depth_source,
            scale_source=self._scale_source(),
            latency_ms=self._latency.percentiles(),
            notes=tuple(pipeline.sfm.notes()),
            scores={part.name: part.scores() for part in self._parts},
        )

    def _scale_source(self) -> str:
        """Relative if any frame was: then no figure of the run is in metres."""
        if ScaleSource.RELATIVE in self._scales:
            return ScaleSource.RELATIVE.value
        return ",".join(sorted(scale.value for scale in self._scales))
