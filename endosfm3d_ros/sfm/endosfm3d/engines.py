"""Recipes of the depth and pose engines. Imports no torch unless an engine must be built."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from endosfm3d_ros.engines import NetworkRecipe, TensorSpec
from endosfm3d_ros.engines.recipe import fingerprint_of, probe_inputs
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.sfm.endosfm3d.arrays import (
    camera_belief,
    inverse_depth,
    network_tensor,
    resized_image,
)
from endosfm3d_ros.sfm.endosfm3d.weights import (
    OFFICIAL_SIZE,
    STUDENT_DEPTH,
    STUDENT_POSE,
    WeightSet,
)

if TYPE_CHECKING:
    from torch import nn

PATCH = 14  # px; side of a transformer patch
CODE = (  # what turns weights into an engine
    "endosfm3d_ros.networks",
    "endosfm3d_ros.sfm.endosfm3d.export",
    "endosfm3d_ros.engines.export",
    "endosfm3d_ros.engines.half",
)
DESCRIPTION = {"input": "RGB in [0, 1], no mean or standard deviation", "layout": "NCHW"}


def depth_recipe(weights: WeightSet, size: tuple[int, int] | None = None) -> NetworkRecipe:
    """Depth at `size` (height, width), by default the size that the weights were trained with.

    Raises:
        ConfigurationError: a size that is neither the published one nor made of whole patches, or
            another than that of a student.
    """
    height, width = size = size or weights.input_size
    if weights.is_student:
        return _student_depth_recipe(weights, size)
    if size != OFFICIAL_SIZE and (min(size) < PATCH or height % PATCH or width % PATCH):
        raise ConfigurationError(
            f"network size {height}x{width}: 256x320 (as published) or multiples of {PATCH} "
            "such as 252x322 are accepted"
        )

    def load() -> nn.Module:
        from endosfm3d_ros.sfm.endosfm3d.export import load_depth_module

        return load_depth_module(weights.folder, size)

    return depth_recipe_of(
        load,
        size,
        fingerprint=fingerprint_of(weights.depth_files, CODE),
        description=DESCRIPTION | {"weights": weights.name},
    )


def depth_recipe_of(
    load: Callable[[], nn.Module],
    size: tuple[int, int],
    fingerprint: str = "",
    description: dict[str, str] | None = None,
) -> NetworkRecipe:
    """The recipe of `DepthLogits` modules, wherever their weights come from.

    Float32 in every precision: the head, because useful depths lie in the low tail of the
    sigmoid, and two transposed convolutions, which TensorRT for RTX lacks in bfloat16. Not in
    int8: the patch embedding, the last layer, and what `depth_folding` joins or moves in the neck,
    which carry most of the change of scale.
    """
    height, width = size

    def prepare(images: list[np.ndarray]) -> list[dict[str, np.ndarray]]:
        return [{"image": network_tensor(resized_image(image, size))} for image in images]

    def simplified(module: nn.Module) -> nn.Module:
        from endosfm3d_ros.sfm.endosfm3d.export import simplified_depth_module

        return simplified_depth_module(module)

    return NetworkRecipe(
        name=f"depth-{height}x{width}",
        inputs=(TensorSpec("image", (1, 3, height, width)),),
        output_names=("logit", "coarse_logit"),
        fingerprint=fingerprint,
        load=load,
        simplified=simplified,
        description=description or {},
        full_precision=("network.head", "network.neck.resizes"),
        float_nodes=(
            ".*/patches/.*",
            ".*/neck/(projections|resizes|convs).*",
            ".*/neck/fusions.*/projection/.*",
            ".*/head.*/conv3.*",
        ),
        prepare=prepare,
        depth=lambda outputs: 1 / inverse_depth(outputs["logit"]),
    )


def _student_depth_recipe(weights: WeightSet, size: tuple[int, int]) -> NetworkRecipe:
    """The small network, which says itself how far off it expects to be."""
    if size != weights.input_size:
        accepted = "x".join(map(str, weights.input_size))
        raise ConfigurationError(
            f"network size {size[0]}x{size[1]}: weight set '{weights.name}' accepts {accepted} only"
        )

    def load() -> nn.Module:
        from endosfm3d_ros.networks.student_checkpoints import load_depth_student
        from endosfm3d_ros.networks.students import MirroredDepth

        return MirroredDepth(load_depth_student(weights.folder / STUDENT_DEPTH)).eval()

    def prepare(images: list[np.ndarray]) -> list[dict[str, np.ndarray]]:
        return [{"image": network_tensor(resized_image(image, size))} for image in images]

    return NetworkRecipe(
        name="depth-student-{}x{}".format(*size),
        inputs=(TensorSpec("image", (1, 3, *size)),),
        output_names=("logit", "log_error"),
        fingerprint=fingerprint_of(weights.depth_files, CODE),
        load=load,
        description=DESCRIPTION | {"weights": weights.name},
        full_precision=("network.unet.head",),
        float_nodes=(".*/head/.*",),
        prepare=prepare,
        depth=lambda outputs: 1 / inverse_depth(outputs["logit"]),
    )


def pose_recipe(weights: WeightSet) -> NetworkRecipe:
    """Motion and intrinsics from a pair at the size that the network was trained with.

    The last layers of either network belong to that size.
    """
    if weights.is_student:
        return _student_pose_recipe(weights)

    def load() -> nn.Module:
        from endosfm3d_ros.sfm.endosfm3d.export import load_pose_module

        return load_pose_module(weights.folder)

    return pose_recipe_of(
        load,
        fingerprint=fingerprint_of(weights.pose_files, CODE),
        description=DESCRIPTION | {"weights": weights.name},
    )


def _student_pose_recipe(weights: WeightSet) -> NetworkRecipe:
    """The small network, which can be told the camera. Matching and what follows stay float32."""
    size = weights.input_size

    def load() -> nn.Module:
        from endosfm3d_ros.networks.student_checkpoints import load_pose_student

        return load_pose_student(weights.folder / STUDENT_POSE, size)

    return NetworkRecipe(
        name="pose-student-{}x{}".format(*size),
        inputs=(TensorSpec("pair", (1, 6, *size)), TensorSpec("belief", (1, 5))),
        output_names=("axisangle", "relative_translation", "q"),
        fingerprint=fingerprint_of(weights.pose_files, CODE),
        load=load,
        description=DESCRIPTION | {"weights": weights.name},
        full_precision=("matcher", "refiner", "unet.head"),
        probe=lambda: shifted_pair(size),
    )


def shifted_pair(size: tuple[int, int]) -> dict[str, np.ndarray]:
    """A texture seen twice, 3 px apart: where nothing matches, rounding decides the motion."""
    height, width = size
    wide = probe_inputs((TensorSpec("image", (1, 3, height, width + 3)),))["image"]
    pair = np.concatenate([wide[..., 3:], wide[..., :width]], axis=1)
    return {"pair": pair, "belief": camera_belief(None, size, size)}


def pose_recipe_of(
    load: Callable[[], nn.Module], fingerprint: str = "", description: dict[str, str] | None = None
) -> NetworkRecipe:
    """The recipe of pose networks. Motions are thousandths: the decoder stays float32, and
    there is no int8.
    """
    return NetworkRecipe(
        name="pose-{}x{}".format(*OFFICIAL_SIZE),
        inputs=(TensorSpec("pair", (1, 6, *OFFICIAL_SIZE)),),
        output_names=("axisangle", "translation", "q"),
        fingerprint=fingerprint,
        load=load,
        description=description or {},
        full_precision=("decoder",),
    )
