"""The reconstruction network as an engine. Imports no torch unless it must be built."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from endosfm3d_ros.engines import NetworkRecipe, TensorSpec
from endosfm3d_ros.engines.recipe import fingerprint_of
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.locations import data_folder

if TYPE_CHECKING:
    from torch import nn

CODE = (  # what turns weights into an engine
    "endosfm3d_ros.networks",
    "endosfm3d_ros.networks.lrm",
    "endosfm3d_ros.engines.export",
    "endosfm3d_ros.engines.half",
)
VARIABLE = "ENDOSFM3D_LRM"
FILES = ("config.json", "model.safetensors")


def find_lrm(folder: str = "") -> Path:
    """The folder with the published files: as named, in $ENDOSFM3D_LRM, or the user's data folder.

    Raises:
        ConfigurationError: a file is not there.
    """
    path = Path(folder or os.environ.get(VARIABLE) or data_folder() / "lrm")
    missing = [name for name in FILES if not (path / name).is_file()]
    if missing:
        raise ConfigurationError(
            f"no reconstruction model: {path} lacks {' and '.join(missing)}; put OpenLRM's files "
            f"there or name their folder in {VARIABLE}"
        )
    return path


def lrm_recipe(folder: Path, size: int) -> NetworkRecipe:
    """Image to planes, with the source camera folded in.

    Args:
        folder: with the published files.
        size: px, side of the input.
    """

    def load() -> nn.Module:
        from endosfm3d_ros.networks.lrm import load_lrm

        return load_lrm(folder).fixed_for_export()

    return NetworkRecipe(
        name=f"lrm-{size}x{size}",
        inputs=(TensorSpec("image", (1, 3, size, size)),),
        output_names=("planes",),
        fingerprint=fingerprint_of([folder / name for name in FILES], CODE),
        load=load,
        description={"input": "RGB in [0, 1], the object on white", "weights": folder.name},
        background=True,
        full_precision=("upsampler",),
    )
