"""NVIDIA TensorRT for RTX: builds without a GPU, compiles kernels for the card at load."""

from __future__ import annotations

from endosfm3d_ros.engines.backend import BackEnd
from endosfm3d_ros.engines.tensor_rt.backend import TensorRtBackEnd
from endosfm3d_ros.engines.tensor_rt.flavour import TENSORRT_RTX


def create() -> BackEnd:
    """The back end of TensorRT for RTX."""
    return TensorRtBackEnd("tensorrt_rtx", TENSORRT_RTX)
