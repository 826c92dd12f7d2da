"""The card that describes a segmentation network: `tools.json` in a folder beside its file.

    {"model": "weights.safetensors", "network": "lraspp"}

for the package's own networks (`networks.lraspp`, or "unet": `networks.students`), and for any
other one

    {"model": "model.onnx", "input_size": [480, 736], "channels": ["tissue", "tool"],
     "activation": "softmax", "mean": [0, 0, 0], "deviation": [1, 1, 1]}

`.onnx` files with everything inside are read, and TorchScript (`.ts`) files where the card says
`"runs_code": true`: such a file is a program that may do whatever its user may. One input (1, 3,
height, width), one output (1, channels, h, w) of any size. MONAI's endoscopic_tool_segmentation
bundle trains on images whose axes are swapped (its reader puts the width first), so its card has
`"transposed": true`.
"""

from __future__ import annotations

import json
import os
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.locations import data_folder
from endosfm3d_ros.tools.segmentation.types import PARTS

CARD = "tools.json"
VARIABLE = "ENDOSFM3D_TOOLS"
TENSORS, ONNX, TORCHSCRIPT = (".safetensors", ".pth"), ".onnx", (".ts", ".torchscript")
TOOL = "tool"
MAX_SIDE = 4096  # px
STARTER = Path(str(files("endosfm3d_ros"))) / "weights" / "starter"

Triple = tuple[float, float, float]


class ModelCard(BaseModel):
    """What must be known about a network to run it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str  # file name in the folder of the card
    network: Literal["lraspp", "unet"] = "lraspp"  # which of the own ones
    input_size: tuple[int, int] = (256, 320)  # (height, width) px, upright
    mean: Triple = (0.0, 0.0, 0.0)  # RGB, subtracted from values in [0, 1]
    deviation: Triple = (1.0, 1.0, 1.0)  # RGB, divided by
    order: Literal["rgb", "bgr"] = "rgb"
    transposed: bool = False  # True: the network takes (1, 3, width, height)
    activation: Literal["softmax", "sigmoid", "none"] = "softmax"  # none: probabilities already
    channels: tuple[str, ...] = ("tissue", TOOL)  # meaning of each output channel
    threshold: float = Field(0.5, gt=0, lt=1)  # of the probability
    grey: bool = False  # whether it was trained on grey pictures too
    runs_code: bool = False  # the word without which a TorchScript program is not run
    licence: str = ""  # shown where the model is listed

    @model_validator(mode="after")
    def _check(self) -> ModelCard:
        if not all(32 <= side <= MAX_SIDE for side in self.input_size):
            raise ValueError(f"input_size {list(self.input_size)}: sides of 32 to {MAX_SIDE} px")
        if not all(value > 0 for value in self.deviation):
            raise ValueError(f"deviation {list(self.deviation)}: positive numbers")
        unknown = [name for name in self.channels if name not in (*PARTS, TOOL, "other")]
        if unknown:
            raise ValueError(f"channel '{unknown[0]}': {', '.join((*PARTS, TOOL, 'other'))}")
        if not set(self.channels) & {TOOL, *PARTS[1:]}:
            raise ValueError(f"channels {list(self.channels)}: one must be a tool or a part of one")
        if self.activation == "softmax" and len(self.channels) < 2:
            raise ValueError("softmax of one channel is always 1: sigmoid")
        return self

    @property
    def own(self) -> bool:
        """Whether the file holds weights of the package's network."""
        return Path(self.model).suffix in TENSORS


def find_model(folder: str = "") -> tuple[Path, ModelCard]:
    """The model file and its card.

    In the folder named here or in $ENDOSFM3D_TOOLS; without these in the user's data folder, or
    else the starter network of the package.

    Raises:
        ConfigurationError: no card, a card that cannot be used, or no model file.
    """
    named = folder or os.environ.get(VARIABLE)
    folders = [Path(named)] if named else [user_folder(), STARTER]
    path = next((f / CARD for f in folders if (f / CARD).is_file()), folders[0] / CARD)
    if not path.is_file():
        raise ConfigurationError(
            f"no segmentation network: {path} does not exist; put a model and its card there, "
            f"name their folder in {VARIABLE}, or choose the mask source 'colour'"
        )
    card = read_card(path)
    model = path.parent / card.model
    if not model.is_file():
        raise ConfigurationError(f"{path} names the model '{card.model}', which is not beside it")
    return model, card


def user_folder() -> Path:
    """`tools` in the user's data folder."""
    return data_folder() / "tools"


def read_card(path: Path) -> ModelCard:
    """The card in a file.

    Raises:
        ConfigurationError: it is no JSON, an entry is unknown, or a value is not accepted.
    """
    try:
        card = ModelCard(**json.loads(path.read_text()))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"{path}: {place + ': ' if place else ''}{first['msg']}"
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise ConfigurationError(
            f'{path} must hold JSON such as {{"model": "model.onnx"}} ({error})'
        ) from error
    suffixes = (*TENSORS, ONNX, *TORCHSCRIPT)
    if Path(card.model).suffix not in suffixes:
        raise ConfigurationError(f"{path}: model '{card.model}' is none of {', '.join(suffixes)}")
    if Path(card.model).name != card.model:
        raise ConfigurationError(
            f"{path}: model '{card.model}': a file beside the card is accepted"
        )
    if Path(card.model).suffix in TORCHSCRIPT and not card.runs_code:
        raise ConfigurationError(
            f"{path}: '{card.model}' is a TorchScript program, which may read and write files: "
            'export it as ONNX, or trust it with "runs_code": true'
        )
    return card
