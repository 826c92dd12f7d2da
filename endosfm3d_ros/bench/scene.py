"""What one update of the whole scene costs: processor time, against one stereo matching.

Milliseconds differ from machine to machine and from day to day; their ratio to semi-global
matching of one image of the clip, taken in the same rounds, can be compared. One eye has depth by
the network, two eyes by matching; map, instruments and self-calibration are on as in the node.
Work beside the frames is waited for and counted with the frames that asked for it.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import cycle
from time import perf_counter, process_time, sleep

import cv2
import numpy as np

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.types import Frame, SceneUpdate

SCENE = "instruments"
FRAMES = 24  # of the clip, which is played to and fro
WARM = 6  # frames of each pipeline before anything counts
BLOCK = 6  # frames in a row, after which the other one has its turn
DISPARITIES = 128
POSE_EVERY = 3  # frames, as the node's parameter
IDLE = 0.05  # s; a share of a core below QUIET over so long is rest
QUIET = 0.02


def bench_scene(rounds: int, width: int = 640, height: int = 512) -> dict:
    """{"scene_one_eye": ..., "scene_two_eyes": ..., each by number of cores}.

    Every number of cores is measured in a process of its own, which is kept to them.

    Args:
        rounds: blocks of each pipeline.
        width: px of the clip.
        height: px of the clip.
    """
    available = sorted(os.sched_getaffinity(0))
    counts = sorted({1, min(2, len(available)), len(available)})
    result: dict = {"scene_one_eye": {}, "scene_two_eyes": {}}
    context = multiprocessing.get_context("spawn")
    for count in counts:
        receiver, sender = context.Pipe(duplex=False)
        arguments = (sender, available[:count], rounds, width, height)
        process = context.Process(target=_measured_on, args=arguments)
        process.start()
        sender.close()
        try:
            for name, row in receiver.recv().items():
                result[name][f"cores_{count}"] = row
        finally:
            process.join()
    return result


def _measured_on(sender, cores: Sequence[int], rounds: int, width: int, height: int) -> None:  # noqa: ANN001
    os.sched_setaffinity(0, cores)  # threads that are made later are kept to them too
    sender.send(measure(rounds, width, height))


def measure(rounds: int, width: int, height: int) -> dict[str, dict]:
    """Both pipelines in alternating blocks on the cores of this process."""
    clip = list(SimulatedSequence(SCENE, frames=FRAMES, width=width, height=height))
    pipelines = {
        "scene_one_eye": (Pipeline(_live("endosfm3d")), _to_and_fro(map(_one_eye, clip))),
        "scene_two_eyes": (Pipeline(_live("stereo")), _to_and_fro(clip)),
    }
    blocks: dict[str, list[dict]] = {name: [] for name in pipelines}
    matchings = []
    for pipeline, frames in pipelines.values():
        _block(pipeline, frames, WARM)
    for _ in range(rounds):
        matchings.append(_matching(clip[0]))
        for name, (pipeline, frames) in pipelines.items():
            blocks[name].append(_block(pipeline, frames, BLOCK))
    for pipeline, _ in pipelines.values():
        pipeline.close()
    return {name: _summary(found, np.array(matchings)) for name, found in blocks.items()}


def _live(source: str) -> PipelineConfig:
    config = PipelineConfig.complete(live=True)
    network = replace(config.sfm.network, pose_every=POSE_EVERY)
    return replace(config, sfm=replace(config.sfm, depth_source=source, network=network))


def _one_eye(frame: Frame) -> Frame:
    return replace(frame, right_image=None, stereo=None)


def _to_and_fro(frames: Sequence[Frame] | Iterator[Frame]) -> Iterator[Frame]:
    """Without end, with stamps that go on."""
    frames = list(frames)
    period = frames[1].stamp - frames[0].stamp
    for number, frame in enumerate(cycle([*frames, *frames[-2:0:-1]])):
        yield replace(frame, stamp=(number + 1) * period)


def _block(pipeline: Pipeline, frames: Iterator[Frame], count: int) -> dict:
    """Some updates in a row: processor and wall ms of one, and its stages."""
    updates: list[SceneUpdate] = []
    cpu, wall = process_time(), perf_counter()
    for _ in range(count):
        updates.append(pipeline.process(next(frames)))
    wall = perf_counter() - wall
    _rest()
    cpu = process_time() - cpu
    stages = {key: [u.timings.get(key, 0.0) for u in updates] for key in updates[-1].timings}
    return {
        "cpu_ms": cpu / count * 1e3,
        "wall_ms": wall / count * 1e3,
        "stages": {key: float(np.median(values)) for key, values in stages.items()},
    }


def _rest() -> None:
    """Wait until the process computes nothing any more."""
    for _ in range(200):
        before = process_time()
        sleep(IDLE)
        if process_time() - before < QUIET * IDLE:
            return


def _matching(frame: Frame) -> float:
    """Processor ms of one semi-global matching of the first image's pair."""
    left, right = (
        cv2.cvtColor(eye, cv2.COLOR_RGB2GRAY) for eye in (frame.image, frame.right_image)
    )
    # The library's own mode, which runs on one thread wherever it is measured.
    matcher = cv2.StereoSGBM.create(0, DISPARITIES, 7, 4 * 49, 24 * 49)
    begin = process_time()
    matcher.compute(left, right)
    return (process_time() - begin) * 1e3


def _summary(blocks: list[dict], matchings: np.ndarray) -> dict:
    """Medians over the rounds; the ratio is taken round by round."""
    cpu = np.array([block["cpu_ms"] for block in blocks])
    return {
        "cpu_ms": float(np.median(cpu)),
        "wall_ms": float(np.median([block["wall_ms"] for block in blocks])),
        "in_matchings": float(np.median(cpu / matchings)),
        "matching_ms": float(np.median(matchings)),
        "stages": {
            key: float(np.median([block["stages"].get(key, 0.0) for block in blocks]))
            for key in blocks[-1]["stages"]
        },
    }
