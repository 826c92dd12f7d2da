"""Everything that a training needs to go on as if it had never stopped, in one file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.atomic import replacing
from endosfm3d_ros.training.networks import TrainingNetworks
from endosfm3d_ros.training.recipes import Recipe

STATE = "state.pt"


@dataclass
class Progress:
    """Where a training stands."""

    epoch: int = 0
    batch: int = 0  # batches of this epoch that are done
    step: int = 0  # batches since the beginning
    best: float = float("inf")  # validation loss
    log_bytes: int = 0  # length of the log at this point


@dataclass(frozen=True)
class Trained:
    """What changes while training."""

    networks: TrainingNetworks
    optimisers: dict[str, Optimizer]
    schedulers: dict[str, LRScheduler]


def save_checkpoint(
    folder: Path, trained: Trained, progress: Progress, recipe: Recipe, data: list[str]
) -> None:
    """Replace the state of a run; a kill leaves the old one or the new one, never a part.

    `data` describes the recordings.
    """
    state = {
        "recipe": asdict(recipe),
        "data": data,
        "progress": asdict(progress),
        "networks": trained.networks.state_dict(),
        "optimisers": {name: one.state_dict() for name, one in trained.optimisers.items()},
        "schedulers": {name: one.state_dict() for name, one in trained.schedulers.items()},
        "random": random_state(),
    }
    with replacing(folder / STATE) as scratch, scratch.open("wb") as file:
        torch.save(state, file)


def load_checkpoint(
    folder: Path, trained: Trained, recipe: Recipe, data: list[str]
) -> Progress | None:
    """Fill networks, optimisers, schedulers and random generators; None where nothing was saved.

    Raises:
        ConfigurationError: the run was made with another recipe or other recordings, or its file
            is damaged.
    """
    path = folder / STATE
    if not path.is_file():
        return None
    state = read_state(path)
    changed = [name for name, value in asdict(recipe).items() if state["recipe"].get(name) != value]
    if changed:
        raise ConfigurationError(
            f"{folder} was begun with other settings ({', '.join(changed)}): "
            "go on with those, or choose another folder"
        )
    if state["data"] != data:
        raise ConfigurationError(
            f"{folder} was begun with other recordings ({'; '.join(state['data'])}): "
            "go on with those, or choose another folder"
        )
    trained.networks.load_state_dict(state["networks"])
    for name, one in trained.optimisers.items():
        one.load_state_dict(state["optimisers"][name])
    for name, one in trained.schedulers.items():
        one.load_state_dict(state["schedulers"][name])
    restore_random_state(state["random"])
    return Progress(**state["progress"])


def read_state(path: Path) -> dict[str, Any]:
    """Content of a state file; holds tensors, numbers and texts only."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises anything for arbitrary bytes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigurationError(f"{path} is damaged or no training state ({reason})") from error


def random_state() -> dict[str, Any]:
    """Generators behind dropout; data order and augmentation need none (see `triplets`)."""
    return {"cpu": torch.get_rng_state(), "cuda": torch.cuda.get_rng_state_all()}


def restore_random_state(state: dict[str, Any]) -> None:
    """Put back what `random_state` gave."""
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available() and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
