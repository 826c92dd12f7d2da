"""What the builder is doing, passed on about once a second; cancels the build when asked to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from endosfm3d_ros.engines.progress import Cancelled

INTERVAL = 1.0  # s between two reports


class BuildProgress:
    """The innermost phase and its step."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self.cancelled: Cancelled | None = None
        self._report, self._next = report, 0.0
        self._steps: dict[str, int] = {}  # phase -> number of steps

    def start(self, phase: str, steps: int) -> None:
        """A phase begins."""
        self._steps[phase] = steps
        self._say(phase.lower())

    def step(self, phase: str, done: int) -> bool:
        """A step ended; False asks the builder to stop."""
        self._say(f"{phase.lower()} ({done + 1} of {self._steps.get(phase, 0)})")
        return self.cancelled is None

    def finish(self, phase: str) -> None:
        """A phase ended."""
        self._steps.pop(phase, None)

    def _say(self, text: str) -> None:
        now = time.monotonic()
        if now < self._next or self.cancelled is not None:
            return
        self._next = now + INTERVAL
        try:
            self._report(text)
        except Cancelled as error:  # it may not pass through the builder's native frames
            self.cancelled = error


def monitor_of(trt: Any, progress: BuildProgress) -> Any:
    """An IProgressMonitor of the module that feeds `progress`."""

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            progress.start(phase_name, num_steps)

        def phase_finish(self, phase_name: str) -> None:
            progress.finish(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return progress.step(phase_name, step)

    return Monitor()
