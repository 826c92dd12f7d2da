"""What the reconstruction of an instrument costs, and what it leaves to the frames beside it.

Weights are generated: the network takes as long with any. Its planes have no surface like that of
an instrument, so what is meshed are planes of a shaft, by a decoder of the same size.
"""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch import Tensor

from endosfm3d_ros.bench.rounds import Result, summary
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.engines import Engine, EngineSettings, NetworkRecipe, TensorSpec, obtain_engine
from endosfm3d_ros.evaluation.runs.given_masks import GivenMasks
from endosfm3d_ros.networks.generated_weights import fill_with_generated_weights
from endosfm3d_ros.networks.lrm import LrmConfig, LrmNetwork, Radiance
from endosfm3d_ros.networks.lrm.radiance import HIDDEN
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.tissue.config import TissueConfig
from endosfm3d_ros.tools.models.lrm.surface import SurfaceConfig, coloured_mesh
from endosfm3d_ros.tools.models.workshop import step_back
from endosfm3d_ros.tools.stage import ToolsConfig
from endosfm3d_ros.types import Frame

BASE = LrmConfig("dinov2_vitb14_reg", 768, 12, 12, 32, 64, 48)  # openlrm-mix-base-1.1
REFERENCE = "frame_alone"
CLIP = 8  # frames, played to and fro
SHAFT_RADIUS, INSIDE = 0.04, 8.0  # of the cube's half side; density well inside it
WARM = 5  # frames in which map, tracks and models begin


def bench_lrm(frames: int, config: LrmConfig = BASE) -> Result:
    """`frame_beside_lrm` against `frame_alone`, and `lrm_network` while frames go on.

    A frame is the whole pipeline with tissue map and two instruments at 640x512; `lrm_network` is
    one image to planes, `lrm_meshing` planes to a coloured mesh, `lrm_model` both, on a thread of
    the lowest priority.

    Args:
        frames: that are timed alone; those beside last until one run is over, at least as many.
        config: of the network.
    """
    network = fill_with_generated_weights(LrmNetwork(config))
    with tempfile.TemporaryDirectory() as folder:
        engine = generated_engine(network, config, Path(folder))
    stream, done = _stream(), threading.Event()
    pipeline = Pipeline(
        PipelineConfig(
            tools=ToolsConfig("topic"),
            tissue=TissueConfig(),
            tissue_budget=0.0,  # as many refinements however slow the machine
        )
    )
    for _ in range(WARM):
        pipeline.process(next(stream))
    alone = [_timed(pipeline, next(stream)) for _ in range(frames)]
    with ThreadPoolExecutor(1, "tool models", step_back) as workshop:
        running = workshop.submit(_runs, engine, network, done)
        beside: list[float] = []
        while len(beside) < frames:
            beside.append(_timed(pipeline, next(stream)))
        done.set()
        while not running.done():
            beside.append(_timed(pipeline, next(stream)))
        runs = running.result()
    pipeline.close()
    times = {REFERENCE: alone, "frame_beside_lrm": beside, **runs}
    result = summary({name: np.array(values) for name, values in times.items()}, {})
    ratio = float(np.median(beside) / np.median(alone))
    result["frame_beside_lrm"]["ratio_to"] = {REFERENCE: ratio}
    return result


def generated_engine(network: LrmNetwork, config: LrmConfig, cache: Path) -> Engine:
    """As the live stage runs it."""
    recipe = NetworkRecipe(
        name=f"lrm-{config.image_size}",
        inputs=(TensorSpec("image", (1, 3, config.image_size, config.image_size)),),
        output_names=("planes",),
        fingerprint="generated",
        load=network.fixed_for_export,
        description={},
        background=True,
        full_precision=("upsampler",),
    )
    return obtain_engine(recipe, EngineSettings(cache_dir=cache))


def shaft(config: LrmConfig) -> tuple[Radiance, Tensor]:
    """Decoder and (3, C, R, R) planes of a slender ellipsoid across the cube.

    The first channel of each plane holds its share of a quadratic form, and the decoder hands the
    sum through to the density; all other weights are generated.
    """
    side = 2 * config.triplane_low_res
    across = torch.linspace(-1, 1, side) / SHAFT_RADIUS
    planes = torch.randn((3, config.triplane_dim, side, side)).mul_(0.1)
    planes[:, 0] = 0.0
    planes[0, 0] = INSIDE - across[None, :] ** 2  # xy by [y, x]
    planes[1, 0] = -(across[:, None] ** 2)  # xz by [z, x]
    radiance = fill_with_generated_weights(Radiance(config.triplane_dim))
    with torch.no_grad():
        for layer in radiance.net[::2]:
            layer.weight[0], layer.bias[0] = 0.0, 0.0
            features = config.triplane_dim if layer is radiance.net[0] else HIDDEN
            layer.weight[0, ::features] = 1.0
    return radiance, planes


def _stream() -> Iterator[Frame]:
    """The clip to and fro, with stamps that go on."""
    clip = list(GivenMasks(SimulatedSequence("instruments", frames=CLIP, width=640, height=512)))
    there_and_back = clip + clip[-2:0:-1]
    for i in count():
        frame = there_and_back[i % len(there_and_back)]
        yield replace(frame, stamp=i * 66_666_667)


def _timed(pipeline: Pipeline, frame: Frame) -> float:
    """Milliseconds of one frame."""
    begin = perf_counter()
    pipeline.process(frame)
    return (perf_counter() - begin) * 1e3


def _runs(engine: Engine, network: LrmNetwork, done: threading.Event) -> dict[str, list[float]]:
    """Milliseconds of each run, until the one that is under way when `done` is set."""
    side = network.config.image_size
    image = np.random.default_rng(0).random((1, 3, side, side)).astype(np.float32)
    radiance, planes = shaft(network.config)
    times = {"lrm_network": [], "lrm_meshing": [], "lrm_model": []}
    while not (done.is_set() and times["lrm_model"]):
        moments = [perf_counter()]
        engine.run({"image": image})
        moments.append(perf_counter())
        coloured_mesh(radiance, planes, SurfaceConfig())
        moments.append(perf_counter())
        begin, between, end = (moment * 1e3 for moment in moments)
        times["lrm_network"].append(between - begin)
        times["lrm_meshing"].append(end - between)
        times["lrm_model"].append(end - begin)
    return times
