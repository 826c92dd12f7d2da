"""Every stage run on made-up frames before the first real one.

Modules are imported, libraries loaded, tables made and memory taken then, so that the first real
frame takes as long as any other. What the frames took says what this machine can do.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median
from time import process_time

import cv2
import numpy as np

from endosfm3d_ros.engines.progress import still_working
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.types import Frame, SceneUpdate, StereoGeometry

SIZE = (640, 512)  # px; what a da Vinci's picture is often reduced to
SMALL = (160, 128)  # px; of frames that nobody takes the time of
COUNT, LOADING = 4, 2  # frames of each kind; those of them that load what is missing
DISTANCE, BASELINE = 0.06, 0.005  # m
STEP = 3  # px from frame to frame
ROD = (150, 155, 160)  # RGB of the made-up instrument

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Rehearsed:
    """What came out, and what it took."""

    update: SceneUpdate | None  # the last one; None where the made-up frames could not be used
    seconds: float  # from update to update, if nothing else runs here; NaN where unknown
    stages: dict[str, float]  # ms of one update by stage

    @property
    def rate(self) -> float:
        """Updates a second that this machine can be expected to make; NaN where unknown."""
        return 1 / self.seconds


def rehearse(
    pipeline: Pipeline,
    report: Callable[[str], None] = log.info,
    size: tuple[int, int] = SIZE,
) -> Rehearsed:
    """Run a pipeline on made-up frames of every kind that it may get, then reset it.

    Args:
        pipeline: nothing of the frames stays in it.
        report: hears what is done; may raise to stop it.
        size: (width, height) of the frames, where it is known.

    Raises:
        ConfigurationError: a library or compiler that a stage needs is missing.
    """
    done = Rehearsed(None, float("nan"), {})
    with still_working(report, "running every stage on made-up images"):
        try:
            *others, best = _kinds(pipeline.config.sfm.depth_source)
            for kind in others:  # loads what is missing, whatever the size
                measure(pipeline, kind, SMALL)
            done = measure(pipeline, best, size)
        except ConfigurationError:  # something is missing that real frames need as well
            raise
        except Exception as error:  # real frames may well do better than made-up ones
            log.warning("the stages could not be rehearsed: %r", error)
            pipeline.reset()
    return done


def measure(pipeline: Pipeline, kind: str, size: tuple[int, int] = SIZE) -> Rehearsed:
    """Run a pipeline on made-up frames of one kind, see `frames`, then reset it."""
    timed = [_timed(pipeline, frame) for frame in frames(kind, size)]
    if pipeline.tools is not None:
        pipeline.tools.rehearse(timed[-1].update, _rod(size) > 0)
    pipeline.reset()
    return _summary(timed[LOADING:])


def frames(kind: str, size: tuple[int, int] = SIZE) -> Iterator[Frame]:
    """A textured wall that moves sideways behind a grey rod; what comes with it is `kind`.

    Args:
        kind: `stereo`: with the right eye; `topic`: with depth; else one eye alone.
        size: (width, height).
    """
    camera = PinholeCamera.default(*size)
    disparity = round(camera.fx * BASELINE / DISTANCE)
    wall, rod = _wall(size[0] + disparity + COUNT * STEP, size[1]), _rod(size)
    for i in range(COUNT):
        left, right = (
            _view(wall, rod, offset, size[0]) for offset in (i * STEP, i * STEP + disparity)
        )
        yield Frame(
            stamp=(i + 1) * 100_000_000,
            image=left,
            right_image=right if kind == "stereo" else None,
            stereo=_geometry(camera) if kind == "stereo" else None,
            depth=np.full(size[::-1], DISTANCE, np.float32) if kind == "topic" else None,
        )


def _kinds(source: str) -> tuple[str, ...]:
    """What may come with an image; the best source last, whose time is taken."""
    return ("endosfm3d", "stereo") if source == "auto" else (source,)


def best_kind(source: str) -> str:
    """What comes with an image where a depth source gets all that it can use."""
    return _kinds(source)[-1]


def _wall(width: int, height: int) -> np.ndarray:
    """(height, width, 3) uint8: red and blotchy, with detail of all sizes."""
    random = np.random.default_rng(1)
    blotches = sum(
        cv2.GaussianBlur(random.normal(size=(height, width)).astype(np.float32), (0, 0), s) * s
        for s in (1.5, 4, 12)
    )
    tone = np.clip(120 + 40 * blotches / blotches.std(), 20, 230)[..., None]
    return (tone * np.array([1.0, 0.55, 0.5])).astype(np.uint8)


def _rod(size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8: how bright an instrument is that comes in from the right; 0 beside it."""
    width, height = size
    rod, axis = np.zeros((height, width), np.uint8), height // 2
    thickness = max(2, height // 8)
    cv2.line(rod, (width * 2 // 3, axis), (width, axis), 200, thickness)
    cv2.line(rod, (width * 2 // 3, axis), (width, axis), 255, max(1, thickness // 8))
    return rod


def _view(wall: np.ndarray, rod: np.ndarray, offset: int, width: int) -> np.ndarray:
    image = wall[:, offset : offset + width].copy()
    shade = rod[..., None] / np.float32(255)
    return np.where(rod[..., None] > 0, shade * np.array(ROD), image).astype(np.uint8)


def _geometry(camera: PinholeCamera) -> StereoGeometry:
    P_left = np.hstack([camera.K, np.zeros((3, 1))])
    P_right = P_left.copy()
    P_right[0, 3] = -camera.fx * BASELINE
    turned = np.eye(3)
    return StereoGeometry(camera, camera, turned, P_left, turned, P_right)


@dataclass(frozen=True)
class Timed:
    """One update and the processor time of all threads that it took, in s."""

    update: SceneUpdate
    processor: float


def _timed(pipeline: Pipeline, frame: Frame) -> Timed:
    start = process_time()
    update = pipeline.process(frame)
    return Timed(update, process_time() - start)


def _summary(timed: list[Timed]) -> Rehearsed:
    """Live, both halves of the pipeline run at the same time, and share the cores."""
    names = {name for one in timed for name in one.update.timings}
    stages = {name: median(one.update.timings.get(name, 0.0) for one in timed) for name in names}
    scene = stages.get("tissue", 0.0) + stages.get("tools", 0.0)  # the second half
    slower = max(stages["total"] - scene, scene) * 1e-3
    shared = median(one.processor for one in timed) / len(os.sched_getaffinity(0))
    return Rehearsed(timed[-1].update, max(slower, shared), stages)
