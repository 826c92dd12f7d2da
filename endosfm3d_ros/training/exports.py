"""Trained networks as other programs read them: the released layout, and an adapter folder.

Both kinds of folder are weight sets that the live node loads as they are.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from torch import Tensor

from endosfm3d_ros.files.atomic import atomic_folder
from endosfm3d_ros.networks.checkpoint_keys import COMPONENT_KEYS, DEPTH_KEYS
from endosfm3d_ros.sfm.endosfm3d.weights import CARD, POSE_FILES
from endosfm3d_ros.training.adapters import PEFT_PREFIX, save_adapter
from endosfm3d_ros.training.networks import TrainingNetworks
from endosfm3d_ros.training.recipes import Recipe

CLASSES = 1000  # of ImageNet: the released encoders carry torchvision's unused last layer


def save_released_layout(networks: TrainingNetworks, recipe: Recipe, folder: Path) -> None:
    """Replace `folder` by one with the seven .pth files of the released code, and a card."""
    with atomic_folder(folder, CARD, force=True) as scratch:
        scratch.mkdir()
        for name, tensors in released_tensors(networks).items():
            torch.save(tensors, scratch / f"{name}.pth")
        write_card(scratch, recipe)


def save_adapter_set(networks: TrainingNetworks, recipe: Recipe, folder: Path) -> None:
    """Replace `folder` by one with adapter, head and base of the depth network, pose and card."""
    with atomic_folder(folder, CARD, force=True) as scratch:
        scratch.mkdir()
        save_adapter(networks.depth, recipe.adapter, scratch)
        tensors = released_tensors(networks)
        for file in POSE_FILES:
            torch.save(tensors[file.removesuffix(".pth")], scratch / file)
        write_card(scratch, recipe)


def write_card(folder: Path, recipe: Recipe) -> None:
    """What cannot be seen from the tensors (see `sfm.weights`)."""
    card = {"input_size": list(recipe.depth_size), "recipe": recipe.name}
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n")


def released_tensors(networks: TrainingNetworks) -> dict[str, dict[str, Tensor]]:
    """State of each component under the names of the released code, complete for strict loading."""
    components = networks.components()
    tensors = {"depth_model": _depth_tensors(components["depth_model"].state_dict())}
    for name, table in COMPONENT_KEYS.items():
        if name == "depth_model":
            continue
        part = "encoder" if name.endswith("_encoder") else "decoder"
        state = components[name].state_dict()
        tensors[name] = {
            table.published(f"{part}.{key}"): value.cpu() for key, value in state.items()
        }
        if part == "encoder":
            width = tensors[name]["encoder.layer4.1.bn2.weight"].shape[0]
            tensors[name] |= {
                "encoder.fc.weight": torch.zeros(CLASSES, width),
                "encoder.fc.bias": torch.zeros(CLASSES),
            }
    return tensors


def _depth_tensors(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Backbone with adapters beside its weights, neck and head."""
    tensors = {}
    for key, value in state.items():
        part, _, rest = DEPTH_KEYS.published(key).partition(".")
        prefix = f"{part}.{PEFT_PREFIX}" if part == "backbone" else f"{part}."
        tensors[prefix + rest] = value.cpu()
    width = state["backbone.class_token"].shape[-1]
    tensors[f"backbone.{PEFT_PREFIX}embeddings.mask_token"] = torch.zeros(1, width)
    return tensors
