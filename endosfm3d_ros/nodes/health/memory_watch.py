"""Memory of the node: less detail before there is too little, an error when there is."""

from __future__ import annotations

from collections.abc import Callable

from endosfm3d_ros.nodes.health.health import Finding, Level
from endosfm3d_ros.runtime.memory import available_mb, resident_mb

HIGH = 0.85  # of the limit, from which memory is spared
PERIOD = 1.0  # s between looks
AGAIN = 10.0  # s between two attempts to spare some


class MemoryWatch:
    """Asked by the watchdog; pure but for the question how much there is.

    Args:
        limit: MB of the process at most; 0: a share of the machine or of its container.
        spare: begins to spare memory, and returns at once.
        resident: MB in use now.
    """

    def __init__(
        self,
        limit: float,
        spare: Callable[[], None],
        resident: Callable[[], float] = resident_mb,
    ) -> None:
        self.limit = limit or available_mb()
        self.megabytes = resident()
        self._spare, self._resident = spare, resident
        self._looked = self._spared = float("-inf")

    def findings(self, now: float) -> list[Finding]:
        """What there is to say about memory.

        Args:
            now: s of the steady clock.
        """
        if now - self._looked >= PERIOD:
            self._looked, self.megabytes = now, self._resident()
            if self.megabytes > HIGH * self.limit and now - self._spared >= AGAIN:
                self._spared = now
                self._spare()
        if not self.megabytes > HIGH * self.limit:
            return []
        said = f"{self.megabytes:.0f} MB of memory in use, {self.limit:.0f} are accepted"
        if self.megabytes > self.limit:
            cure = "restart the node; raise memory_limit if the machine has more"
            return [Finding("processing", Level.ERROR, f"{said}: {cure}")]
        return [Finding("processing", Level.WARN, f"{said}: the scene is made with less detail")]
