"""How engines are chosen, built and kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from endosfm3d_ros.engines.device import DEVICES, chosen_device
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.locations import cache_folder

PRECISIONS = ("f32", "bf16", "f16", "int8")
PREFERRED = {  # back ends in order of preference
    "cuda": ("tensorrt", "tensorrt_rtx", "torch"),
    "cpu": ("openvino", "onnxruntime", "torch"),
}


@dataclass(frozen=True)
class EngineSettings:
    """Options of `obtain_engine`.

    Raises:
        ConfigurationError: a device or precision is unknown, no back end is named, or `threads`
            is negative.
    """

    backends: tuple[str, ...] | None = None  # in order of preference; None: those of the device
    device: str = "auto"  # auto takes the GPU where there is one
    allow_cpu: bool = False  # True: `device: cuda` may become cpu, with a warning
    precision: str = "f32"  # see PRECISIONS; a back end without it says so and runs f32
    threads: int = 0  # processor threads of one run; 0 leaves the choice to the back end
    cuda_graph: bool = True  # replay the launches of a run as one, where the back end can
    cache_dir: Path = field(default_factory=cache_folder)
    # RGB uint8 images that int8 is calibrated on; asked for only when such an engine is built
    calibration: Callable[[], list[np.ndarray]] | None = None

    def __post_init__(self) -> None:
        if self.backends is not None and not self.backends:
            raise ConfigurationError("no engine back end is named, at least one is needed")
        if self.device not in DEVICES:
            raise ConfigurationError(
                f"engine device '{self.device}': {', '.join(DEVICES)} are accepted"
            )
        if self.threads < 0:
            raise ConfigurationError(f"{self.threads} engine threads: 0 or more are accepted")

    def resolved_device(self) -> str:
        """`cuda` or `cpu`.

        Raises:
            ConfigurationError: CUDA was asked for, is missing, and `allow_cpu` is not set.
        """
        return chosen_device(self.device, self.allow_cpu)

    def candidates(self) -> tuple[str, ...]:
        """The back ends to try, in order."""
        return self.backends or PREFERRED[self.resolved_device()]
