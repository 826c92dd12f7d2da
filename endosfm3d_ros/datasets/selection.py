"""Some frames of a recording: a range, every so many, or until somebody says stop."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.types import Frame

RANGE = re.compile(r"^(\d*):(\d*)$", re.ASCII)
BY_POSITION = {  # methods of a sequence that are asked for by position
    "number", "reference_depth", "reference_pose", "mask", "instances", "parts",
    "reference_camera", "tool_poses", "tool_clearances", "surface", "ignore", "mask_valid",
}  # fmt: skip


def chosen_positions(count: int, frames: str = "", every: int = 1) -> range:
    """Positions that `a:b` (b not included, either may be missing) and a step leave.

    Raises:
        ConfigurationError: no range, or one without a frame.
    """
    found = RANGE.match(frames or ":")
    if found is None:
        raise ConfigurationError(f"--frames {frames}: a:b is accepted, e.g. 100:200, 100: or :200")
    first, last = (int(text) if text else None for text in found.groups())
    positions = range(count)[first:last][::every]
    if not positions:
        raise ConfigurationError(f"--frames {frames}: the recording has frames 0 to {count - 1}")
    return positions


class Selection(Sequence):
    """The frames of a recording at some positions; references are asked by the new position.

    Args:
        sequence: all of it.
        positions: in rising order.
        stopped: asked before every frame; True ends the iteration.
    """

    def __init__(
        self, sequence: Sequence, positions: range, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self._sequence, self._positions, self._stopped = sequence, positions, stopped
        self.name, self.fps = sequence.name, sequence.fps / positions.step
        self.camera, self.stereo = sequence.camera, sequence.stereo
        self.poses_metric = sequence.poses_metric
        self.report = getattr(sequence, "report", InputReport())
        for name in BY_POSITION:
            setattr(self, name, self._by_position(getattr(sequence, name)))

    def __len__(self) -> int:
        return len(self._positions)

    def __iter__(self) -> Iterator[Frame]:
        frames = self._frames()
        while not self._stopped():
            frame = next(frames, None)
            if frame is None:
                return
            yield frame

    def tool_meshes(self) -> dict[int, Any]:
        return self._sequence.tool_meshes()

    def _frames(self) -> Iterator[Frame]:
        """Read one by one where the recording can be asked by position, else in passing."""
        if hasattr(self._sequence, "__getitem__"):
            yield from (self._sequence[i] for i in self._positions)
            return
        for i, frame in enumerate(self._sequence):
            if i in self._positions:
                yield frame
            if i >= self._positions[-1]:
                return

    def _by_position(self, method: Callable[[int], Any]) -> Callable[[int], Any]:
        return lambda i: method(self._positions[i])
