"""From what a user says to recipe and settings."""

from __future__ import annotations

import os
from dataclasses import replace

import torch

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.training.recipes import RELEASED, Recipe
from endosfm3d_ros.training.trainer import TrainerSettings

MOST_WORKERS = 8  # more do not read faster than one GPU trains


def adjusted(recipe: Recipe, epochs: int = 0, batch_size: int = 0) -> Recipe:
    """The recipe with other counts; 0 keeps its own."""
    given = {"epochs": epochs, "batch_size": batch_size}
    return replace(recipe, **{name: value for name, value in given.items() if value})


def settings_for(device: str, recipe: str, steps: int = 0) -> TrainerSettings:
    """Device, precision and read-ahead for this machine.

    Mixed precision where the GPU has bfloat16, but not for the released recipe, which has none.

    Raises:
        ConfigurationError: no such device here.
    """
    chosen = find_device(device)
    on_gpu = chosen.type == "cuda"
    return TrainerSettings(
        device=chosen,
        half=on_gpu and recipe != RELEASED.name and torch.cuda.is_bf16_supported(),
        workers=min(MOST_WORKERS, (os.cpu_count() or 1) - 1) if on_gpu else 0,
        max_steps=steps or None,
    )


def find_device(name: str) -> torch.device:
    """The device of that name; `auto` is a GPU where there is one."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigurationError(f"device '{name}' cannot be used here ({reason})") from error
    return device
