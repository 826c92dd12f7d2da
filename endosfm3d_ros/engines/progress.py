"""A sign of life during long steps: silence for minutes reads as a hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from endosfm3d_ros.errors import EndoError

INTERVAL = 5.0  # seconds between two signs

Report = Callable[[str], None]


class Cancelled(EndoError):
    """Raised by a `report` that wants the work to stop; steps that are finished stay on disk."""


@contextmanager
def still_working(report: Report, step: str, interval: float = INTERVAL) -> Iterator[None]:
    """Report that `step` begins, every `interval` seconds that it goes on, and how long it took.

    A `report` that raises Cancelled ends the work where a step begins: what is done is kept.
    """
    begin, done = time.perf_counter(), threading.Event()

    def repeat() -> None:
        while not done.wait(interval):
            with suppress(Cancelled):
                report(f"{step} ({time.perf_counter() - begin:.0f} s so far)")

    report(step)
    ticker = threading.Thread(target=repeat, daemon=True, name="progress")
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()
    with suppress(Cancelled):
        report(f"{step}: done in {time.perf_counter() - begin:.1f} s")
