"""Whether the live pipeline with its tissue map keeps its memory and its rate for hours.

A simulated clip is played to and fro for thousands of frames while an instrument passes, then the
stream is started anew hundreds of times. Memory is that of the whole process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import psutil

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.evaluation.pictures.plots import new_figure
from endosfm3d_ros.files.atomic import replacing
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig
from endosfm3d_ros.sfm.config import EstimatorConfig
from endosfm3d_ros.tissue.config import TissueConfig
from endosfm3d_ros.types import Frame

PERIOD = 400  # frames in which the instrument crosses the image


@dataclass(frozen=True)
class SoakConfig:
    """How long, and on what."""

    frames: int = 9000
    resets: int = 500
    after_reset: int = 4  # frames between two resets
    rows: int = 30  # of the table
    scene: str = "breathing"
    clip: int = 45  # frames, played to and fro
    width: int = 320
    height: int = 256
    tissue: TissueConfig = field(default_factory=TissueConfig)


@dataclass(frozen=True)
class SoakRow:
    """State after some frames."""

    frame: int
    resets: int
    rss_mb: float
    rate_hz: float  # 1 / median time of one update since the last row
    gaussians: int
    nodes: int


@dataclass
class _Recorder:
    """Makes a row of what happened since the last one."""

    pipeline: Pipeline
    process: psutil.Process = field(default_factory=psutil.Process)
    seconds: list[float] = field(default_factory=list)

    def row(self, frame: int, resets: int) -> SoakRow:
        tissue = self.pipeline.tissue
        rate = 1 / float(np.median(self.seconds))
        self.seconds.clear()
        return SoakRow(
            frame=frame,
            resets=resets,
            rss_mb=round(self.process.memory_info().rss / 1e6, 1),
            rate_hz=round(rate, 1),
            gaussians=tissue.store.count,
            nodes=0 if tissue.graph is None else tissue.graph.count,
        )

    def run(self, frame: Frame) -> None:
        start = perf_counter()
        self.pipeline.process(frame)
        self.seconds.append(perf_counter() - start)


def soak(
    config: SoakConfig | None = None, on_row: Callable[[SoakRow], None] = lambda row: None
) -> list[SoakRow]:
    """Run both parts; at full length this takes some minutes.

    Args:
        config: how long.
        on_row: called with each row when it is there.
    """
    config = config or SoakConfig()
    sfm = EstimatorConfig(intrinsics=IntrinsicsConfig(mode="fixed"))
    pipeline = Pipeline(PipelineConfig(sfm=sfm, tissue=config.tissue))
    recorder, rows = _Recorder(pipeline), []

    def note(frame: int, resets: int) -> None:
        rows.append(recorder.row(frame, resets))
        on_row(rows[-1])

    # 1 one long stream
    stream = _stream(config)
    every = max(1, config.frames // config.rows)
    for i in range(1, config.frames + 1):
        recorder.run(next(stream))
        if i % every == 0:
            note(i, 0)
    # 2 many short ones
    every = max(1, config.resets * 3 // config.rows)
    for k in range(1, config.resets + 1):
        pipeline.reset()
        for _ in range(config.after_reset):
            recorder.run(next(stream))
        if k % every == 0:
            note(config.frames + k * config.after_reset, k)
    pipeline.close()
    return rows


def summarised(rows: list[SoakRow]) -> dict[str, float | list]:
    """Slope of the memory in MB per 1000 frames from the second half of the long stream on."""
    long = [row for row in rows if row.resets == 0]
    half = long[len(long) // 2 :]
    slope = np.polyfit([row.frame for row in half], [row.rss_mb for row in half], 1)[0]
    return {
        "rss_slope_mb_per_1000_frames": round(1000 * float(slope), 3),
        "rss_mb_first_to_last": [half[0].rss_mb, rows[-1].rss_mb],
        "gaussians_max": max(row.gaussians for row in rows),
        "nodes_max": max(row.nodes for row in rows),
        "rows": [vars(row) for row in rows],
    }


def plot(rows: list[SoakRow], path: Path) -> None:
    """Memory, rate and Gaussians over frames as a PNG."""
    figure = new_figure(8, 5)
    curves = {
        "memory in MB": [row.rss_mb for row in rows],
        "updates per second": [row.rate_hz for row in rows],
        "Gaussians": [row.gaussians for row in rows],
    }
    frames = [row.frame for row in rows]
    for axes, (name, values) in zip(figure.subplots(3, sharex=True), curves.items()):
        axes.plot(frames, values, ".-")
        axes.set(ylabel=name, ylim=(0, 1.2 * max(values)))
        axes.axvline(max(row.frame for row in rows if row.resets == 0), color="grey", ls=":")
    axes.set(xlabel="frames; resets from the dotted line on")
    with replacing(path) as scratch:
        figure.savefig(scratch, dpi=100)


def _stream(config: SoakConfig) -> Iterator[Frame]:
    """The clip to and fro for ever, stamps going on, an instrument passing now and then."""
    clip = list(
        SimulatedSequence(
            config.scene, frames=config.clip, width=config.width, height=config.height, fps=30
        )
    )
    there_and_back = [*clip, *clip[-2:0:-1]]
    step = clip[1].stamp - clip[0].stamp
    i = 0
    while True:
        frame = there_and_back[i % len(there_and_back)]
        labels = _instrument(i, config.height, config.width)
        yield replace(frame, stamp=clip[0].stamp + i * step, tool_labels=labels)
        i += 1


def _instrument(i: int, height: int, width: int) -> np.ndarray:
    """(h, w) uint8: a bar that crosses the image in half of the frames."""
    labels = np.zeros((height, width), np.uint8)
    left = round((2 * (i % PERIOD) / PERIOD - 0.2) * width)
    labels[height // 3 :, max(0, left) : max(0, left + width // 8)] = 1
    return labels
