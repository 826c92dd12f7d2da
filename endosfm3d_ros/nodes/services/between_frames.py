"""Services whose work touches the pipeline: the executor neither waits nor reads or writes files.

A request runs on a thread of its own. What must not meet a frame is handed to the pipeline, which
does it between two frames. Whoever asks hears the result, or after five seconds that the work goes
on; the result is logged then.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, TypeVar

from rclpy.node import Node
from rclpy.task import Future

from endosfm3d_ros.errors import EndoError
from endosfm3d_ros.pipeline.live import LivePipeline
from endosfm3d_ros.pipeline.pipeline import Pipeline

ANSWER = 5.0  # s after which a caller is told that the work goes on
PATIENCE = 60.0  # s that a request waits for its turn between two frames
POLL = 0.1  # s between looks whether the node is still active
INACTIVE = "the node is not active"

Result = TypeVar("Result")
Between = Callable[[Callable[[Pipeline], Result]], Result]
Action = Callable[[Any, Between], str]


class NoTurn(EndoError):
    """The pipeline stopped, or did not come to a request."""


class BetweenFrames:
    """Offers services; their responses have `success` and `message`.

    Args:
        node: creates the services.
        live: what runs now; None while the node is not active.
    """

    def __init__(self, node: Node, live: Callable[[], LivePipeline | None]) -> None:
        self._node = node
        self._live = live
        self._services: list[Any] = []

    def add(self, kind: type, name: str, action: Action) -> None:
        """Offer a service.

        Args:
            kind: of the service.
            name: of the service.
            action: called with the request and `between`, on a thread of its own. It returns the
                sentence of success, or raises; `between(work)` is what `work(pipeline)` returns
                when it is called between two frames.
        """
        busy = threading.Lock()

        async def answer(request: Any, response: Any) -> Any:
            live = self._live()
            if live is None:
                response.success, response.message = False, INACTIVE
            elif not busy.acquire(blocking=False):
                response.success, response.message = False, "still working on the request before"
            else:
                work = Request(self._node, name, busy)
                between = Turns(live, lambda: self._live() is live)
                work.start(lambda: action(request, between))
                response.success, response.message = await work.done
            return response

        self._services.append(self._node.create_service(kind, name, answer))

    def destroy(self) -> None:
        """Take the services down."""
        for service in self._services:
            self._node.destroy_service(service)
        self._services = []


class Request:
    """One request under way: answered once, by its result or because time is up."""

    def __init__(self, node: Node, name: str, busy: threading.Lock) -> None:
        self.done = Future(executor=node.executor)
        self._log = node.get_logger()
        self._name = name
        self._busy = busy
        self._mutex = threading.Lock()

    def start(self, work: Callable[[], str]) -> None:
        """Begin; the thread does not keep the process from ending."""
        late = threading.Timer(ANSWER, self._answered, [(False, self._still())])
        late.daemon = True

        def run() -> None:
            result = outcome_of(work)
            late.cancel()
            self._busy.release()
            if not self._answered(result):
                self._log.info(f"{self._name}: {result[1]}")

        late.start()
        threading.Thread(target=run, name=f"service {self._name}", daemon=True).start()

    def _answered(self, result: tuple[bool, str]) -> bool:
        """Whether this was the answer; the second one is none."""
        with self._mutex:
            first = not self.done.done()
            if first:
                self.done.set_result(result)
        return first

    def _still(self) -> str:
        return f"still working after {ANSWER:g} s: the result will be in the log"


class Turns:
    """`between(work)`: has work done between two frames, and waits for what it returns."""

    def __init__(self, live: LivePipeline, active: Callable[[], bool]) -> None:
        self._live = live
        self._active = active

    def __call__(self, work: Callable[[Pipeline], Result]) -> Result:
        """What `work(pipeline)` returns or raises.

        Raises:
            NoTurn: the node was deactivated, or no turn came within a minute.
        """
        results: list[Result] = []
        errors: list[Exception] = []
        over, given_up = threading.Event(), threading.Event()

        def turn(pipeline: Pipeline) -> None:
            if not given_up.is_set():
                try:
                    results.append(work(pipeline))
                except Exception as error:  # raised again where it is waited for
                    errors.append(error)
            over.set()

        self._live.between_frames(turn)
        end = monotonic() + PATIENCE
        while not over.wait(POLL):
            if monotonic() > end or not (self._active() or over.wait(POLL)):
                given_up.set()
                raise NoTurn("the pipeline did not come to it: nothing was changed")
        if errors:
            raise errors[0]
        return results[0]


def outcome_of(work: Callable[[], str]) -> tuple[bool, str]:
    """(success, sentence); no exception leaves it."""
    try:
        return True, work()
    except EndoError as error:
        return False, str(error)
    except Exception as error:
        return False, f"failed: {error!r}"
