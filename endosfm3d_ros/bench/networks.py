"""How long the networks of EndoSfM3D take here, on generated weights and images.

Runs are interleaved, so that a slow moment of the machine hits all of them alike.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import nn

from endosfm3d_ros.bench.rounds import Result, interleaved, summary
from endosfm3d_ros.engines import Engine, EngineSettings
from endosfm3d_ros.engines.backend import BackEndError, BuildSource, find_backend
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.networks import DepthNetwork, PoseNetwork
from endosfm3d_ros.networks.generated_weights import fill_with_generated_weights
from endosfm3d_ros.sfm.endosfm3d.engines import depth_recipe_of, pose_recipe_of
from endosfm3d_ros.sfm.endosfm3d.export import DepthLogits
from endosfm3d_ros.sfm.endosfm3d.source import EndoSfM3D
from endosfm3d_ros.sfm.endosfm3d.weights import OFFICIAL_SIZE
from endosfm3d_ros.types import Frame

VARIANTS = (("torch", "f32"), ("openvino", "f32"), ("openvino", "bf16"))
REFERENCE = "torch_f32"
IMAGE_SIZE = (512, 640)  # (height, width) of the frames; the networks see 256 x 320


def bench_networks(rounds: int = 7) -> Result:
    """{name: {"p50_ms", "p95_ms", "ratio_to": {reference: time / time of the reference}}}.

    `depth_*` and `pose_*` are one run of one engine; `endosfm3d_*` is the whole way from an
    image to depth, confidence, motion and intrinsics. A back end that is not installed, or a
    precision that this processor lacks, is left out. Ratios are medians over the rounds.
    """
    runs: dict[str, Callable[[], object]] = {}
    sources = depth_source(), pose_source()
    for backend, precision in VARIANTS:
        engines = [built(source, backend, precision) for source in sources]
        if None in engines:
            continue
        variant = f"{backend}_{precision}"
        for what, source, engine in zip(("depth", "pose"), sources, engines):
            runs[f"{what}_{variant}"] = lambda engine=engine, source=source: engine.run(
                source.probe
            )
        runs[f"endosfm3d_{variant}"] = whole_way(*engines)
    times = interleaved(runs, rounds)
    references = {name: f"{name.split('_')[0]}_{REFERENCE}" for name in times}
    return summary(times, {name: ref for name, ref in references.items() if ref != name})


def depth_source() -> BuildSource:
    """The depth network with generated weights."""

    def load() -> nn.Module:
        return DepthLogits(fill_with_generated_weights(DepthNetwork()), OFFICIAL_SIZE).eval()

    return BuildSource(depth_recipe_of(load, OFFICIAL_SIZE))


def pose_source() -> BuildSource:
    """The pose network with generated weights."""
    return BuildSource(pose_recipe_of(lambda: fill_with_generated_weights(PoseNetwork())))


def built(source: BuildSource, backend: str, precision: str) -> Engine | None:
    """A new, warm engine; None where this machine cannot run it."""
    try:
        maker = find_backend(backend)
        if maker.precision(precision) != precision:
            return None
        engine = maker.build(source, EngineSettings(), precision)
    except BackEndError:
        return None
    engine.warm_up()
    return engine


def whole_way(depth: Engine, pose: Engine) -> Callable[[], object]:
    """Estimates the frames of a short, repeated video."""
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (4, *IMAGE_SIZE, 3), np.uint8)
    camera = PinholeCamera.default(IMAGE_SIZE[1], IMAGE_SIZE[0])
    source, stamp = EndoSfM3D(depth, pose), 0

    def run() -> object:
        nonlocal stamp
        stamp += 1
        return source.estimate(Frame(stamp, images[stamp % len(images)]), camera)

    run()  # the first frame has no motion
    return run
