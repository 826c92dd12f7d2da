"""Which networks there are to build, check and time: the installed ones, or generated ones."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.engines import NetworkRecipe, TensorSpec
from endosfm3d_ros.engines.recipe import fingerprint_of
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.sfm.endosfm3d.engines import (
    CODE,
    depth_recipe,
    depth_recipe_of,
    pose_recipe,
    pose_recipe_of,
)
from endosfm3d_ros.sfm.endosfm3d.weights import OFFICIAL_SIZE, find_weights

CALIBRATION_IMAGES = 33  # 32 to calibrate on and one for the parity check
GENERATED = {"weights": "generated"}


def installed_recipes(weights: str = "") -> tuple[list[NetworkRecipe], list[str]]:
    """Recipes of every network whose weights are on this machine, and what is missing.

    Raises:
        ConfigurationError: `weights` names a set that is not there.
    """
    recipes, missing = [], []
    try:
        found = find_weights(weights)
        recipes.append(depth_recipe(found))
        recipes += [pose_recipe(found)] if found.has_pose else []
    except ConfigurationError as error:
        if weights:
            raise
        missing.append(str(error))
    for listed in (_tools, _reconstruction):
        try:
            recipes.append(listed())
        except ConfigurationError as error:
            missing.append(str(error))
    return recipes, missing


def _tools() -> NetworkRecipe:
    from endosfm3d_ros.tools.segmentation.card import find_model
    from endosfm3d_ros.tools.segmentation.network_engines import tool_recipe

    return tool_recipe(*find_model())


def _reconstruction() -> NetworkRecipe:
    from endosfm3d_ros.networks.lrm.checkpoint import read_config
    from endosfm3d_ros.tools.models.lrm.engine import find_lrm, lrm_recipe

    folder = find_lrm()
    return lrm_recipe(folder, read_config(folder).image_size)


def generated_recipes() -> list[NetworkRecipe]:
    """Depth, pose and segmentation with generated weights: the sizes are those of real ones."""
    from endosfm3d_ros.networks import DepthNetwork, PoseNetwork
    from endosfm3d_ros.networks.generated_weights import fill_with_generated_weights
    from endosfm3d_ros.networks.lraspp import ToolNetwork
    from endosfm3d_ros.sfm.endosfm3d.export import DepthLogits

    mark = fingerprint_of([], (*CODE, "endosfm3d_ros.networks.generated_weights"))
    return [
        depth_recipe_of(
            lambda: DepthLogits(fill_with_generated_weights(DepthNetwork()), OFFICIAL_SIZE).eval(),
            OFFICIAL_SIZE,
            mark,
            GENERATED,
        ),
        pose_recipe_of(lambda: fill_with_generated_weights(PoseNetwork()), mark, GENERATED),
        NetworkRecipe(
            name="tools-{}x{}".format(*OFFICIAL_SIZE),
            inputs=(TensorSpec("image", (1, 3, *OFFICIAL_SIZE)),),
            output_names=("tool", "parts"),
            fingerprint=mark,
            load=lambda: fill_with_generated_weights(ToolNetwork()),
            description=GENERATED,
            full_precision=("classifier",),
        ),
    ]


def calibration_images(sources: list[Path], count: int = CALIBRATION_IMAGES) -> list[np.ndarray]:
    """About `count` RGB images, as many from each recording.

    Raises:
        InputError: nothing that can be read lies somewhere, or too few images.
    """
    each = -(-count // len(sources))
    return [image for source in sources for image in _spread_images(source, each)]


def _spread_images(source: Path, count: int) -> list[np.ndarray]:
    """`count` images spread evenly over a recording."""
    sequence = open_sequence(source)
    if len(sequence) < count:
        raise InputError(f"{source} has {len(sequence)} images: {count} or more are accepted")
    wanted = set(np.linspace(0, len(sequence) - 1, count).round().astype(int).tolist())
    return [frame.image for position, frame in enumerate(sequence) if position in wanted]


def generated_images(count: int = CALIBRATION_IMAGES) -> list[np.ndarray]:
    """Smooth reddish pictures with a dark rim, for figures where no recording is at hand."""
    generator = np.random.default_rng(0)
    height, width = OFFICIAL_SIZE
    rows, columns = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    images = []
    for _ in range(count):
        coarse = generator.random((8, 10, 3), np.float32) * (0.9, 0.5, 0.45)
        fine = 0.1 * generator.random((height // 4, width // 4, 1), np.float32)
        texture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        texture += cv2.resize(fine, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]
        light = 1.1 - 0.6 * (rows**2 + columns**2)[..., None]
        images.append((255 * np.clip(texture * light, 0, 1)).astype(np.uint8))
    return images
