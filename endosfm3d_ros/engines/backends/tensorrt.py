"""NVIDIA TensorRT 10 and 11."""

from __future__ import annotations

from endosfm3d_ros.engines.backend import BackEnd
from endosfm3d_ros.engines.tensor_rt.backend import TensorRtBackEnd
from endosfm3d_ros.engines.tensor_rt.flavour import TENSORRT


def create() -> BackEnd:
    """The TensorRT back end."""
    return TensorRtBackEnd("tensorrt", TENSORRT)
