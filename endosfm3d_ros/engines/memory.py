"""Torch tensors over memory that is known by its address, as TensorRT knows it."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from endosfm3d_ros.engines.engine import TensorSpec


@dataclass(frozen=True)
class _DeviceMemory:
    """Tells torch where an array lies on the GPU (CUDA array interface, version 3)."""

    address: int
    spec: TensorSpec

    @property
    def __cuda_array_interface__(self) -> dict:
        return {
            "shape": self.spec.shape,
            "typestr": np.dtype(self.spec.dtype).str,
            "data": (self.address, False),
            "version": 3,
        }


def tensor_at(address: int, spec: TensorSpec, device: str) -> Tensor:
    """A contiguous tensor over foreign memory of `device` (cuda or cpu); it is not copied.

    The memory must outlive the tensor.
    """
    if device == "cuda":
        return torch.as_tensor(_DeviceMemory(address, spec), device=device)
    count = math.prod(spec.shape) * np.dtype(spec.dtype).itemsize
    memory = (ctypes.c_byte * count).from_address(address)
    return torch.from_numpy(np.frombuffer(memory, spec.dtype).reshape(spec.shape))


def torch_dtype(spec: TensorSpec) -> torch.dtype:
    """The torch type of a specification."""
    return getattr(torch, spec.dtype)
