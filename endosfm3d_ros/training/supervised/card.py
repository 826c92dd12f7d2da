"""Trained weights as they are handed on: half-precision tensors, and a card about them."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor, nn

from endosfm3d_ros.files.atomic import write_bytes, write_text
from endosfm3d_ros.training.supervised.loop import Schedule

LICENCE = "Apache-2.0"
PART_BYTES = 15 << 20  # of tensors; with the header a file stays below 16 MiB


@dataclass(frozen=True)
class ModelCard:
    """How weights came about, and what they are worth."""

    network: str
    input_size: tuple[int, int]
    command: str
    data: str
    rendered: dict[str, int]  # of the simulator
    schedule: dict[str, float]
    minutes: float
    hardware: str = field(default_factory=lambda: f"{processor()}, {os.cpu_count()} processors")
    torch: str = torch.__version__
    licence: str = LICENCE
    metrics: dict[str, float | str] = field(default_factory=dict)
    limits: str = ""

    @classmethod
    def of(
        cls,
        network: nn.Module,
        rendered: dict[str, int],
        schedule: Schedule,
        command: str,
        seconds: float,
    ) -> ModelCard:
        """The card of a network right after its training; `rendered` has height and width."""
        return cls(
            network=type(network).__name__,
            input_size=(rendered["height"], rendered["width"]),
            command=command,
            data="the package's simulator alone",
            rendered=rendered,
            schedule=asdict(schedule),
            minutes=round(seconds / 60, 1),
        )


def export(network: nn.Module, path: Path, card: ModelCard) -> list[Path]:
    """Write `path` (.safetensors, float16) and the card as JSON beside it.

    A network above `PART_BYTES` is written in parts that fit many a limit of file sizes, named
    `<stem>-00001-of-00004.safetensors` as on Hugging Face.
    """
    tensors = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    parts = _split(tensors)
    files = (
        [path]
        if len(parts) == 1
        else [
            path.with_name(f"{path.stem}-{i:05d}-of-{len(parts):05d}{path.suffix}")
            for i in range(1, len(parts) + 1)
        ]
    )
    for file, part in zip(files, parts):
        write_bytes(file, safetensors.torch.save(part))
    write_text(path.with_suffix(".json"), json.dumps(asdict(card), indent=2) + "\n")
    return files


def _split(tensors: dict[str, Tensor]) -> list[dict[str, Tensor]]:
    """In order, each part as large as the limit allows."""
    parts: list[dict[str, Tensor]] = [{}]
    room = PART_BYTES
    for name, tensor in tensors.items():
        if tensor.nbytes > room and parts[-1]:
            parts.append({})
            room = PART_BYTES
        parts[-1][name] = tensor
        room -= tensor.nbytes
    return parts


def processor() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
