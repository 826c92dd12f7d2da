"""Notices that the executor does not come round, on a thread that nothing else uses."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import monotonic

PERIOD = 0.1  # s between looks
STUCK = 0.7  # s without a beat; the executor's own watch beats ten times a second

log = logging.getLogger(__name__)


class Heartbeat:
    """Counts the seconds since the last beat.

    Args:
        on_stuck: called with them, on the thread of the heart, as long as no beat comes.
    """

    def __init__(self, on_stuck: Callable[[float], None]) -> None:
        self._on_stuck = on_stuck
        self._over = threading.Event()
        self.beat()
        self._thread = threading.Thread(target=self._watch, name="heartbeat", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self.beat()
        self._thread.start()

    def stop(self) -> None:
        """Nothing is said after this returns."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def beat(self) -> None:
        """The executor has come round."""
        self._last = monotonic()

    def _watch(self) -> None:
        while not self._over.wait(PERIOD):
            since = monotonic() - self._last
            if since > STUCK:
                try:
                    self._on_stuck(since)
                except Exception:  # the topics are being taken down
                    log.debug("nothing could be said", exc_info=True)
