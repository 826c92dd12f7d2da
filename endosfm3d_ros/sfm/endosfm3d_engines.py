"""Recipes of the depth and pose engines. Imports no torch unless an engine must be built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from endosfm3d_ros.engines import NetworkRecipe, TensorSpec
from endosfm3d_ros.engines.recipe import fingerprint_of
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.sfm.weights import OFFICIAL_SIZE, WeightSet

if TYPE_CHECKING:
    from torch import nn

PATCH = 14  # px; side of a transformer patch
CODE = (  # what turns weights into an engine
    "endosfm3d_ros.networks",
    "endosfm3d_ros.sfm.endosfm3d_export",
    "endosfm3d_ros.engines.export",
)
DESCRIPTION = {"input": "RGB in [0, 1], no mean or standard deviation", "layout": "NCHW"}


def depth_recipe(weights: WeightSet, size: tuple[int, int] | None = None) -> NetworkRecipe:
    """Depth at `size` (height, width), by default the size that the weights were trained with.

    Raises:
        ConfigurationError: a size that is neither the published one nor made of whole patches.
    """
    height, width = size = size or weights.input_size
    if size != OFFICIAL_SIZE and (min(size) < PATCH or height % PATCH or width % PATCH):
        raise ConfigurationError(
            f"network size {height}x{width}: 256x320 (as published) or multiples of {PATCH} "
            "such as 252x322 are accepted"
        )

    def load() -> nn.Module:
        from endosfm3d_ros.sfm.endosfm3d_export import load_depth_module

        return load_depth_module(weights.folder, size)

    return NetworkRecipe(
        name=f"depth-{height}x{width}",
        inputs=(TensorSpec("image", (1, 3, height, width)),),
        output_names=("logit", "coarse_logit"),
        fingerprint=fingerprint_of(weights.depth_files, CODE),
        load=load,
        description=DESCRIPTION | {"weights": weights.name},
    )


def pose_recipe(weights: WeightSet) -> NetworkRecipe:
    """Motion and intrinsics from a pair at the published size.

    The network's position embedding belongs to that size.
    """

    def load() -> nn.Module:
        from endosfm3d_ros.sfm.endosfm3d_export import load_pose_module

        return load_pose_module(weights.folder)

    return NetworkRecipe(
        name="pose-{}x{}".format(*OFFICIAL_SIZE),
        inputs=(TensorSpec("pair", (1, 6, *OFFICIAL_SIZE)),),
        output_names=("axisangle", "translation", "q"),
        fingerprint=fingerprint_of(weights.pose_files, CODE),
        load=load,
        description=DESCRIPTION | {"weights": weights.name},
    )
