"""One image through the depth network: scaled down, normalised, and to inverse depth.

The way is chosen by where the engine runs. On the GPU only the image goes up and the results come
down, both through pinned memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from endosfm3d_ros.engines import Engine
from endosfm3d_ros.sfm.endosfm3d.answers import NetworkAnswer
from endosfm3d_ros.sfm.endosfm3d.arrays import inverse_depth, network_tensor, resized_image

if TYPE_CHECKING:
    from endosfm3d_ros.engines.device_engine import DeviceEngine


class DepthForward(Protocol):
    """Runs the network on one image."""

    def __call__(self, image: np.ndarray) -> NetworkAnswer:
        """Of an (H, W, 3) uint8 RGB image; raises InputError for anything else."""


class HostForward:
    """Everything but the network itself with OpenCV and numpy."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._size = engine, engine.inputs[0].shape[2:]

    def __call__(self, image: np.ndarray) -> NetworkAnswer:
        """Of an (H, W, 3) uint8 RGB image."""
        small = resized_image(image, self._size)
        outputs = self._engine.run({"image": network_tensor(small)})
        fine = inverse_depth(outputs["logit"])
        if "log_error" in outputs:
            return NetworkAnswer(small, fine, log_error=outputs["log_error"][0, 0])
        return NetworkAnswer(small, fine, coarse=inverse_depth(outputs["coarse_logit"]))


def depth_forward(engine: Engine) -> DepthForward:
    """The way that fits the engine."""
    if engine.device == "cpu":
        return HostForward(engine)
    from endosfm3d_ros.sfm.endosfm3d.device_forward import DeviceForward

    device_engine: DeviceEngine = engine
    return DeviceForward(device_engine)
