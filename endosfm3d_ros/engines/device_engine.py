"""An engine whose memory is on the GPU: besides arrays it takes and gives torch tensors."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from endosfm3d_ros.engines.device_session import DeviceSession
from endosfm3d_ros.engines.engine import Engine
from endosfm3d_ros.errors import InputError


class DeviceEngine(Engine):
    """A session behind the engine interface."""

    def __init__(self, session: DeviceSession) -> None:
        super().__init__(session.inputs, session.outputs)
        self.session, self.device = session, session.device

    def run_tensors(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """All inputs by name to all outputs by name, as contiguous tensors of the device.

        Queued on the caller's current stream: the host does not wait for the results.

        Raises:
            InputError: an input is missing, unknown, or of another device, shape or type.
        """
        expected = sorted(spec.name for spec in self.inputs)
        if sorted(inputs) != expected:
            raise InputError(f"inputs {sorted(inputs)}: this network takes {expected}")
        with self._lock:
            return self.session.run_tensors(inputs)

    def _execute(self, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return self.session.run_arrays(inputs)
