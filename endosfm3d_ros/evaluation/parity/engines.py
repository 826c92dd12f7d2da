"""The exported networks, run by every engine that this machine has (ONNX into OpenVINO, ..)."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn

from endosfm3d_ros.engines.backend import BackEndError, BuildSource, backend_names, find_backend
from endosfm3d_ros.engines.engine import Engine, TensorSpec
from endosfm3d_ros.engines.recipe import SCALE_TOLERANCES, NetworkRecipe
from endosfm3d_ros.engines.settings import EngineSettings
from endosfm3d_ros.evaluation.parity.check import Check, absolute, close
from endosfm3d_ros.evaluation.parity.golden import GoldenArrays
from endosfm3d_ros.networks.camera_motion import released_intrinsics
from endosfm3d_ros.networks.depth import DepthNetwork, disparity_to_depth
from endosfm3d_ros.networks.pose import PoseNetwork
from endosfm3d_ros.sfm.endosfm3d.engines import depth_recipe_of
from endosfm3d_ros.sfm.endosfm3d.export import DepthLogits

PRECISION = "f32"  # the tolerances of the golden vectors are those of float32


def depth_checks(network: DepthNetwork, image: Tensor, golden: GoldenArrays) -> Iterator[Check]:
    """The two finest disparities through each engine."""
    module = DepthLogits(network, tuple(image.shape[-2:])).eval()
    recipe = depth_recipe_of(lambda: module, tuple(image.shape[-2:]))
    for name in exporting_backends():
        checks = (f"{name}_disp_0", f"{name}_disp_1")
        outputs = answers(name, recipe, {"image": image}, checks)
        if isinstance(outputs, list):
            yield from outputs
            continue
        for check, key, expected in zip(checks, recipe.output_names, ("disp_0", "disp_1")):
            disparity = torch.sigmoid(torch.from_numpy(outputs[key]))
            yield close(check, disparity, golden[expected], rtol=1e-4, atol=1e-6)
    yield bf16_scale_check(recipe, image, golden)


def bf16_scale_check(recipe: NetworkRecipe, image: Tensor, golden: GoldenArrays) -> Check:
    """Median of the depth in bfloat16 over the golden depth, minus one."""
    name, backend = "openvino_bf16_scale", find_backend("openvino")
    try:
        backend.require()
    except BackEndError:
        return Check(name)
    if backend.precision("bf16") != "bf16":  # the processor has none
        return Check(name)
    outputs = built("openvino", recipe, "bf16").run({"image": image.numpy()})
    disparity = torch.sigmoid(torch.from_numpy(outputs["logit"]))
    ratio = disparity_to_depth(disparity) / disparity_to_depth(torch.from_numpy(golden["disp_0"]))
    return absolute(name, ratio.median()[None], np.ones(1), SCALE_TOLERANCES["bf16"])


def pose_checks(
    network: PoseNetwork, pair: Tensor, golden: GoldenArrays, frame: str
) -> Iterator[Check]:
    """Motion and camera matrix of one neighbour through each engine."""
    recipe = recipe_of("pose", network, {"pair": pair}, ("axisangle", "translation", "q"))
    height, width = pair.shape[-2:]
    for name in exporting_backends():
        checks = tuple(f"{name}_{what}_{frame}" for what in ("axisangle", "translation", "K"))
        outputs = answers(name, recipe, {"pair": pair}, checks)
        if isinstance(outputs, list):
            yield from outputs
            continue
        for check, vector in zip(checks, ("axisangle", "translation")):
            expected = golden[f"{vector}_{frame}"][:, 0, 0]
            yield close(check, outputs[vector], expected, rtol=1e-4, atol=1e-7)
        K = released_intrinsics(torch.from_numpy(outputs["q"]), width, height)
        yield absolute(checks[2], K, golden[f"K_{frame}"], 1e-3)


def exporting_backends() -> list[str]:
    """Every back end that runs something else than the torch network itself."""
    return [name for name in backend_names() if name != "torch"]


def recipe_of(
    name: str, module: nn.Module, inputs: dict[str, Tensor], outputs: tuple[str, ...]
) -> NetworkRecipe:
    """A recipe around a network that is in memory; it is never cached."""
    specs = tuple(TensorSpec(key, tuple(value.shape)) for key, value in inputs.items())
    return NetworkRecipe(f"parity-{name}", specs, outputs, fingerprint="", load=lambda: module)


def answers(
    backend: str, recipe: NetworkRecipe, inputs: dict[str, Tensor], checks: tuple[str, ...]
) -> dict[str, np.ndarray] | list[Check]:
    """Outputs by name, or what became of the checks: not run here, or failed to build."""
    try:
        find_backend(backend).require()
    except BackEndError:  # its package or its device is not on this machine
        return [Check(name) for name in checks]
    try:
        engine = built(backend, recipe)
    except BackEndError:
        return [Check(name, math.inf, 0.0) for name in checks]
    return engine.run({key: value.numpy() for key, value in inputs.items()})


def built(backend: str, recipe: NetworkRecipe, precision: str = PRECISION) -> Engine:
    """A new engine, bypassing the cache and its own parity gate."""
    return find_backend(backend).build(BuildSource(recipe), EngineSettings(), precision)
