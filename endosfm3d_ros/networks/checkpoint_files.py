"""Reads tensors from files without ever running code from them."""

from __future__ import annotations

import pickle
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from endosfm3d_ros.errors import ConfigurationError

SHOWN_KEYS = 5  # of each kind in an error


def listed(names: list[str]) -> str:
    """The first names and the count of the others."""
    shown = ", ".join(names[:SHOWN_KEYS])
    rest = len(names) - SHOWN_KEYS
    return f"{shown} and {rest} more" if rest > 0 else shown


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Tensors by key from a .safetensors file or a PyTorch file (.pth, .pt, .bin), on the CPU.

    Raises:
        ConfigurationError: no such file, damaged, or holding anything else than tensors; a
            pickle that would run code is refused.
    """
    if not path.is_file():
        raise ConfigurationError(f"weights file {path} does not exist")
    content = _read_safetensors(path) if path.suffix == ".safetensors" else _read_torch(path)
    if not isinstance(content, dict) or not content:
        raise ConfigurationError(f"{path} holds {type(content).__name__}, not tensors by name")
    others = [str(key) for key, value in content.items() if not isinstance(value, Tensor)]
    if others:
        raise ConfigurationError(f"{path} holds entries that are no tensors: {listed(others)}")
    return content


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError) as error:
        raise ConfigurationError(f"{path} is no readable safetensors file ({error})") from error


def _read_torch(path: Path) -> object:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigurationError(
            f"{path} is refused because it is no plain file of tensors (a pickle with code in it, "
            "or no PyTorch file): save its state_dict, or a .safetensors file"
        ) from error
    except Exception as error:  # the unpickler raises anything for arbitrary bytes
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigurationError(f"{path} is damaged or no PyTorch file ({reason})") from error
