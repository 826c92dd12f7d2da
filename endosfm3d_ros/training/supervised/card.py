"""Trained weights as they are handed on: half-precision tensors, and a card about them."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors.torch
import torch
from torch import nn

from endosfm3d_ros.training.supervised.bank import BankConfig
from endosfm3d_ros.training.supervised.loop import Schedule

LICENCE = "Apache-2.0"


@dataclass(frozen=True)
class ModelCard:
    """How weights came about, and what they are worth."""

    network: str
    input_size: tuple[int, int]
    command: str
    data: str
    bank: dict[str, int]
    schedule: dict[str, float]
    minutes: float
    hardware: str = field(default_factory=lambda: f"{processor()}, {os.cpu_count()} processors")
    torch: str = torch.__version__
    licence: str = LICENCE
    metrics: dict[str, float | str] = field(default_factory=dict)
    limits: str = ""

    @classmethod
    def of(
        cls, network: nn.Module, bank: BankConfig, schedule: Schedule, command: str, seconds: float
    ) -> ModelCard:
        """The card of a network right after its training."""
        return cls(
            network=type(network).__name__,
            input_size=(bank.height, bank.width),
            command=command,
            data="the package's simulator alone",
            bank=asdict(bank),
            schedule=asdict(schedule),
            minutes=round(seconds / 60, 1),
        )


def export(network: nn.Module, path: Path, card: ModelCard) -> None:
    """Write `path` (.safetensors, float16) and the card as JSON beside it."""
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    safetensors.torch.save_file(tensors, path)
    path.with_suffix(".json").write_text(json.dumps(asdict(card), indent=2) + "\n")


def processor() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
