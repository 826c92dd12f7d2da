"""One job at a time beside the frames, so that no frame waits for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from time import perf_counter, thread_time
from typing import Generic, TypeVar

from endosfm3d_ros.runtime.timing import Slack

T = TypeVar("T")

log = logging.getLogger(__name__)


class Background(Generic[T]):
    """Runs a function on a thread of its own, or at once where nobody is waiting.

    What a job raises ends that job and not the frame during which it happens to be found out: it
    is logged, and `note` says so from then on.

    Args:
        threaded: False computes at once in `submit`: the same frames then give the same results.
        rest: times as long as a job on the thread had to wait for a core, the next one waits, while
            slack is scarce: what jobs compute is missing from the frames then.
        slack: of the frames; without it jobs never wait.
        name: what the jobs do, for `note`.
    """

    def __init__(
        self,
        threaded: bool,
        rest: float = 0.0,
        slack: Slack | None = None,
        name: str = "a job beside the frames",
    ) -> None:
        self._name, self._failures, self._reason = name, 0, ""
        self.failed = False  # whether the answer that was taken last is an exception
        self._threaded, self._rest, self._slack = threaded, rest, slack
        self._rested = 0.0  # s of the steady clock
        self._thread: threading.Thread | None = None
        self._generation = 0
        self._answer: tuple[int, T | Exception] | None = None

    @property
    def busy(self) -> bool:
        """Whether a job runs, its answer waits to be taken, or the next one must wait."""
        under_way = self._thread is not None or self._answer is not None
        return under_way or perf_counter() < self._rested

    def submit(self, function: Callable[[], T]) -> bool:
        """Start a job; False, and nothing happens, while `busy`."""
        if self.busy:
            return False
        generation = self._generation
        if not self._threaded:
            self._run(function, generation)
            return True
        # Not a daemon: the interpreter must not end under compiled code that still computes.
        self._thread = threading.Thread(
            target=self._run, args=(function, generation), name="refine"
        )
        self._thread.start()
        return True

    def take(self) -> T | None:
        """The answer of a finished job, once; None while there is none, or where it failed."""
        self.failed = False
        answer = self._answer
        if answer is None:
            return None
        if self._thread is not None:
            self._thread.join()
        self._thread, self._answer = None, None
        generation, value = answer
        if generation != self._generation:
            return None
        if isinstance(value, Exception):
            self._fail(value)
            return None
        return value

    @property
    def note(self) -> str:
        """How often jobs failed, and why at last; empty where none did."""
        return f"{self._name} failed {self._reason}" if self._failures else ""

    def _fail(self, error: Exception) -> None:
        self.failed, before = True, self._reason
        self._failures += 1
        what = f"{type(error).__name__}: {error}".strip()
        self._reason = f"{self._failures} times, at last by {what}"
        if what not in before:  # not with every frame
            log.error("%s failed", self._name, exc_info=error)

    def forget(self) -> None:
        """The answer of a running job is not wanted any more."""
        self._generation += 1

    def _run(self, function: Callable[[], T], generation: int) -> None:
        start, computed = perf_counter(), thread_time()
        try:
            answer = generation, function()
        except Exception as error:  # handed on to the thread that takes the answer
            answer = generation, error
        # What is computed at once must not depend on what else runs on the machine.
        if self._threaded and self._slack and self._slack.scarce:
            end = perf_counter()
            waited = end - start - (thread_time() - computed)
            self._rested = end + self._rest * waited
        self._answer = answer
