"""Training of a small network on the simulator's truth: one loop for every task.

    trained = fit(DepthTask(bank), Schedule(steps=5000), folder)

What a step sees follows from the seed and its number alone, so a run that was killed goes on from
its last checkpoint as if nothing had happened. What is kept in the end is the running average of
the weights (Polyak averaging), which does better than the last ones.
"""

from __future__ import annotations

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.atomic import replacing
from endosfm3d_ros.training.supervised.log_table import LogTable

CHECKPOINT = "checkpoint.pt"
LOG = "log.csv"
SMOOTHING = 0.98  # of the losses that are shown


@dataclass(frozen=True)
class Schedule:
    """How long and how fast. The rate rises, stays, and falls to zero in the end.

    Because it stays in between, `steps` may be changed before the fall begins.
    """

    steps: int
    batch: int = 32
    rate: float = 1e-3
    warm_up: int = 100  # steps
    fall: float = 0.35  # share of the steps
    weight_decay: float = 0.02
    average: float = 0.998  # of the weights per step
    clip: float = 1.0  # length of the gradient
    seed: int = 0
    checkpoint_every: int = 100  # steps

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch < 1:
            raise ConfigurationError(
                f"{self.steps} steps of {self.batch} samples: 1 or more of each are accepted"
            )

    def rate_at(self, step: int) -> float:
        """Learning rate of a step counted from 0."""
        rising = min(1.0, (step + 1) / self.warm_up)
        left = (self.steps - step) / max(1.0, self.fall * self.steps)
        return self.rate * min(rising, left, 1.0)


class Task(ABC):
    """What is trained, on what, and how far it is off."""

    name: str

    @abstractmethod
    def network(self) -> nn.Module:
        """The network before the first step."""

    @abstractmethod
    def batch(self, step: int, schedule: Schedule) -> tuple[Tensor, ...]:
        """What a step sees; follows from the seed and the number of the step."""

    @abstractmethod
    def loss(self, network: nn.Module, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Terms by name, in mixed precision; the one named `loss` is minimised."""


@dataclass(frozen=True)
class Progress:
    """What is shown while a run goes on."""

    step: int
    steps: int
    seconds: float  # of training so far
    losses: dict[str, float]  # smoothed


Report = Callable[[Progress], None]


@dataclass
class _State:
    """All that a run is at one step."""

    network: nn.Module
    average: nn.Module
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0  # of training, over all processes that took part

    def as_dict(self) -> dict[str, object]:
        return {
            "network": self.network.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }

    def take(self, stored: dict[str, object]) -> None:
        self.network.load_state_dict(stored["network"])
        self.average.load_state_dict(stored["average"])
        self.optimiser.load_state_dict(stored["optimiser"])
        self.step, self.seconds = stored["step"], stored["seconds"]


def fit(
    task: Task,
    schedule: Schedule,
    folder: Path,
    report: Report = lambda progress: None,
    device: str = "cpu",
) -> nn.Module:
    """Train, or go on training, in a folder that holds checkpoint and log.

    Args:
        task: network and loss.
        schedule: how long.
        folder: made where it is absent; a checkpoint in it is gone on from.
        report: called after every step.
        device: of the network.

    Returns:
        the averaged network in evaluation mode, on the CPU.

    Raises:
        ConfigurationError: the folder cannot be written, or its checkpoint is of another network.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = _begin(task, schedule, folder / CHECKPOINT, device)
    table, smooth = LogTable(folder / LOG, keep=state.step), {}
    while state.step < schedule.steps:
        begin = time.monotonic()
        losses = _step(task, schedule, state, device)
        state.seconds += time.monotonic() - begin
        smooth = {k: SMOOTHING * smooth.get(k, v) + (1 - SMOOTHING) * v for k, v in losses.items()}
        report(Progress(state.step, schedule.steps, state.seconds, smooth))
        if state.step % schedule.checkpoint_every == 0 or state.step == schedule.steps:
            table.add(state.step, {"seconds": state.seconds} | smooth)
            with replacing(folder / CHECKPOINT) as scratch, scratch.open("wb") as file:
                torch.save(state.as_dict(), file)
    return state.average.eval().to("cpu", memory_format=torch.contiguous_format)


def _begin(task: Task, schedule: Schedule, path: Path, device: str) -> _State:
    """A new run, or the one whose checkpoint is there."""
    torch.manual_seed(schedule.seed)
    network = task.network().to(device, memory_format=torch.channels_last).train()
    average = copy.deepcopy(network).requires_grad_(False)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=schedule.rate, weight_decay=schedule.weight_decay
    )
    state = _State(network, average, optimiser)
    if path.is_file():
        try:
            state.take(torch.load(path, map_location=device, weights_only=True))
        except (RuntimeError, KeyError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise ConfigurationError(
                f"{path} is the checkpoint of another network ({reason}): give a new folder"
            ) from error
    return state


def _step(task: Task, schedule: Schedule, state: _State, device: str) -> dict[str, float]:
    """One step of the optimiser and of the average; the terms of the loss."""
    for group in state.optimiser.param_groups:
        group["lr"] = schedule.rate_at(state.step)
    batch = task.batch(state.step, schedule)
    with torch.autocast(device, torch.bfloat16):
        terms = task.loss(state.network, batch)
    state.optimiser.zero_grad(set_to_none=True)
    terms["loss"].backward()
    nn.utils.clip_grad_norm_(state.network.parameters(), schedule.clip)
    state.optimiser.step()
    state.step += 1
    _take_part(state, min(schedule.average, 1 - 1 / (state.step + 1)))
    values = {name: float(value.detach()) for name, value in terms.items()}
    if not math.isfinite(values["loss"]):
        raise ConfigurationError(f"training failed: the loss of step {state.step} is not finite")
    return values


@torch.no_grad()
def _take_part(state: _State, share: float) -> None:
    """Move the average towards the network; counters are copied."""
    for mean, value in zip(
        state.average.state_dict().values(), state.network.state_dict().values()
    ):
        if mean.is_floating_point():
            mean.lerp_(value, 1 - share)
        else:
            mean.copy_(value)


def generator_of(seed: int, step: int, device: str = "cpu") -> torch.Generator:
    """Random numbers of one step, whatever happened before."""
    mixed = (seed * 1_000_003 + step * 7919 + 12345) % 2**63
    return torch.Generator(device).manual_seed(mixed)
