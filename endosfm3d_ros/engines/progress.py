"""A sign of life during long steps: silence for minutes reads as a hang."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

INTERVAL = 5.0  # seconds between two signs


@contextmanager
def still_working(
    report: Callable[[str], None], step: str, interval: float = INTERVAL
) -> Iterator[None]:
    """Report that `step` begins, every `interval` seconds that it goes on, and how long it took."""
    begin, done = time.perf_counter(), threading.Event()

    def repeat() -> None:
        while not done.wait(interval):
            report(f"{step} ({time.perf_counter() - begin:.0f} s so far)")

    report(step)
    ticker = threading.Thread(target=repeat, daemon=True, name="progress")
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()
    report(f"{step}: done in {time.perf_counter() - begin:.1f} s")
