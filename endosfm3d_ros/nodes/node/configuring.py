"""Long work of a configure transition, which Ctrl-C must be able to stop."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from endosfm3d_ros.engines.progress import Cancelled, Report

POLL = 0.1  # s between looks at the event

Built = TypeVar("Built")


def build_unless(
    cancelled: threading.Event, build: Callable[[Report], Built], report: Report
) -> Built:
    """What `build(report)` returns; it runs on a thread of its own.

    When the event is set this function returns at once, and the thread ends before its next step:
    a compiler cannot be interrupted in the middle. Engines that are finished stay in the cache.

    Raises:
        Cancelled: the event was set.
    """
    results: list[Built] = []
    errors: list[BaseException] = []

    def heard(text: str) -> None:
        if cancelled.is_set():
            raise Cancelled("configure was cancelled; engines that are finished are kept")
        report(text)

    def work() -> None:
        try:
            results.append(build(heard))
        except BaseException as error:  # raised again where it is waited for
            errors.append(error)

    worker = threading.Thread(target=work, name="configure", daemon=True)
    worker.start()
    while worker.is_alive():
        worker.join(POLL)
        if cancelled.is_set():
            raise Cancelled("configure was cancelled; engines that are finished are kept")
    if errors:
        raise errors[0]
    return results[0]
