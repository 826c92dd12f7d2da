"""How long depth from a pair and camera motion take here, at 640x512."""

from __future__ import annotations

import hashlib

import numpy as np

from endosfm3d_ros.bench.rounds import Result, interleaved, summary
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.sfm.depth.stereo import StereoConfig, StereoSource
from endosfm3d_ros.sfm.tracking.motion import MotionTracker
from endosfm3d_ros.types import Frame

FRAMES = 4


def bench_frames() -> list[Frame]:
    """The frames that are timed: rendered, so the same everywhere."""
    return list(SimulatedSequence("moving", frames=FRAMES, width=640, height=512))


def input_hash(frames: list[Frame]) -> str:
    """First digits of the SHA-256 of all pixels."""
    sha = hashlib.sha256()
    for frame in frames:
        sha.update(np.ascontiguousarray(frame.image))
        sha.update(np.ascontiguousarray(frame.right_image))
    return sha.hexdigest()[:16]


def bench_stereo(frames: list[Frame], rounds: int) -> Result:
    """The whole source at full and half width against semi-global matching alone."""
    full, half = StereoSource(), StereoSource(StereoConfig(max_width=320))
    first = frames[0]
    depths = [full.estimate(frame, frame.camera) for frame in frames]
    half.estimate(first, first.camera)
    rectifier = full.rectifier_for(first)
    pair = rectifier.rectify(first.image, first.right_image)
    tracker = MotionTracker()
    turn = iter(range(10**9))

    def motion() -> None:
        i = next(turn) % len(frames)
        tracker.track(frames[i], depths[i])

    runs = {
        "stereo_matching_alone": lambda: full.match(*pair, rectifier),
        "stereo_640": lambda: full.estimate(first, first.camera),
        "stereo_320": lambda: half.estimate(first, first.camera),
        "motion_640": motion,
    }
    references = {"stereo_640": "stereo_matching_alone", "stereo_320": "stereo_matching_alone"}
    return summary(interleaved(runs, rounds), references)
