"""One engine on disk: a safetensors file with a card, the engine and its parity check.

    blob                 (N,) uint8, what the back end stored
    probe.<input>        float32, what the check runs on
    reference.<output>   float32, what torch answers to it

A digest over all of it is checked before a back end sees the blob: compiled models are read by
native code that is not made for damaged files.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from endosfm3d_ros.engines.engine import TensorSpec

FORMAT = 2
PROBE, REFERENCE = "probe.", "reference."


class DamagedEntry(Exception):
    """The file is not a whole engine of the expected key; the text says why."""


@dataclass(frozen=True)
class EntryCard:
    """What an engine file holds."""

    key: str
    network: str
    backend: str
    backend_version: str
    precision: str
    device: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    errors: dict[str, float]  # output -> relative error against torch, at build; empty: unchecked
    scale_error: float | None  # of the depth, at build
    build_seconds: float
    description: dict[str, str]  # of the recipe: weights, input range
    format: int = FORMAT

    @classmethod
    def from_json(cls, text: str) -> EntryCard:
        """The card of `json.dumps(asdict(card))`."""
        fields = json.loads(text)
        for name in ("inputs", "outputs"):
            fields[name] = tuple(
                TensorSpec(spec["name"], tuple(spec["shape"]), spec["dtype"])
                for spec in fields[name]
            )
        return cls(**fields)


@dataclass(frozen=True)
class Entry:
    """A card with its arrays."""

    card: EntryCard
    blob: np.ndarray  # (N,) uint8
    probe: dict[str, np.ndarray]
    reference: dict[str, np.ndarray]

    def to_bytes(self) -> bytes:
        """The file."""
        card = json.dumps(asdict(self.card))
        arrays = {"blob": self.blob}
        for prefix, tensors in ((PROBE, self.probe), (REFERENCE, self.reference)):
            # safetensors writes the memory as it lies, whatever the strides say
            arrays |= {prefix + name: np.ascontiguousarray(x) for name, x in tensors.items()}
        return save(arrays, {"card": card, "sha256": _digest(card, arrays)})


def read_card(path: Path) -> EntryCard:
    """Only the card, without checking the rest.

    Raises:
        DamagedEntry: the file is not an engine file.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return EntryCard.from_json(file.metadata()["card"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedEntry(_one_line(error)) from error


def read_entry(path: Path, key: str) -> Entry:
    """The engine file, checked as a whole.

    Raises:
        DamagedEntry: the file is empty, cut short, changed, or belongs to another key.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata()
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        card = EntryCard.from_json(metadata["card"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise DamagedEntry(_one_line(error)) from error
    if _digest(metadata["card"], arrays) != metadata.get("sha256"):
        raise DamagedEntry("its checksum does not match")
    if card.key != key or card.format != FORMAT:
        raise DamagedEntry(f"it was made for another network, version or machine ({card.key[:16]})")
    return Entry(card, arrays["blob"], _named(PROBE, arrays), _named(REFERENCE, arrays))


def _named(prefix: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays under a prefix, without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in arrays.items()
        if name.startswith(prefix)
    }


def _digest(card: str, arrays: dict[str, np.ndarray]) -> str:
    """SHA-256 over the card and every array with its name."""
    digest = hashlib.sha256(card.encode())
    for name in sorted(arrays):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(arrays[name]).data)
    return digest.hexdigest()


def _one_line(error: Exception) -> str:
    """First line of an error, or its type."""
    return (str(error).splitlines() or [type(error).__name__])[0]
