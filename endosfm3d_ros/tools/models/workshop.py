"""Where tool models are made: one at a time beside the frames, and none that nobody waits for."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from endosfm3d_ros.tools.types import ToolModel

Job = Callable[[], ToolModel]


class Workshop:
    """Makes models in the order in which they were asked for; as many wait as callers hold.

    A job that is cancelled before it began is gone at once, with the image that it holds: a
    queue of jobs for tools that have left would keep the next tool waiting behind ghosts.

    Args:
        in_background: at the lowest priority: frames come first.
    """

    def __init__(self, in_background: bool) -> None:
        self._worker = ThreadPoolExecutor(1, "tool models", step_back if in_background else None)
        self._lock = threading.Lock()
        self._waiting: dict[Future[ToolModel], Job] = {}
        self._working = False

    def __len__(self) -> int:
        """How many jobs wait to begin."""
        return len(self._waiting)

    def order(self, job: Job) -> Future[ToolModel]:
        """Have a model made."""
        future: Future[ToolModel] = Future()
        with self._lock:
            self._waiting[future] = job
            idle, self._working = not self._working, True
        if idle:
            self._worker.submit(self._work)
        return future

    def cancel(self, future: Future[ToolModel]) -> None:
        """Nobody waits for this any more. One that is being made is made, for nobody."""
        with self._lock:
            self._waiting.pop(future, None)
        future.cancel()

    def close(self) -> None:
        """End the thread, after the job under way."""
        with self._lock:
            waiting = list(self._waiting)
        for future in waiting:
            self.cancel(future)
        self._worker.shutdown(wait=False)

    def _work(self) -> None:
        while (order := self._next()) is not None:
            future, job = order
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(job())
                except Exception as error:  # handed on to the thread that asks for the model
                    future.set_exception(error)
            del order, future, job  # they hold images

    def _next(self) -> tuple[Future[ToolModel], Job] | None:
        with self._lock:
            if not self._waiting:
                self._working = False
                return None
            future = next(iter(self._waiting))
            return future, self._waiting.pop(future)


def step_back() -> None:
    """Give this thread, and those that it starts, the lowest priority: frames come first."""
    if sys.platform == "linux":  # where priorities belong to threads
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 19)
