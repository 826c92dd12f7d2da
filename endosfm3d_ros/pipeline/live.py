"""The pipeline on live frames: the newest one wins, and no stage waits for another frame's stages.

Three threads with one frame each: the first half of the pipeline (what the image shows), the
second (the scene), and whoever takes the results. A frame is taken when the one before it has
reached the second half: results are never lost, none grows old in a queue, memory is bounded, and
a slow listener slows the pipeline down.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from time import monotonic, perf_counter
from typing import Any

from endosfm3d_ros.pipeline.pipeline import Pipeline, TrackedFrame
from endosfm3d_ros.types import Frame, SceneUpdate


class LatestFrameSlot:
    """Holds at most one frame. Putting a frame replaces the one that nobody has taken."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._frame: Frame | None = None
        self.epoch = 0  # of the frames that are put now
        self.dropped = 0

    def put(self, frame: Frame) -> None:
        """Never blocks; counts the frame that it replaces."""
        with self._condition:
            self.dropped += self._frame is not None
            self._frame = replace(frame, epoch=self.epoch)
            self._condition.notify()

    def take(self, timeout: float) -> Frame | None:
        """The newest frame, or None after `timeout` seconds without one."""
        with self._condition:
            self._condition.wait_for(lambda: self._frame is not None, timeout)
            frame, self._frame = self._frame, None
            return frame

    def begin_epoch(self) -> None:
        """Drop what waits; frames put from now on belong to another scene."""
        with self._condition:
            self.dropped += self._frame is not None
            self._frame = None
            self.epoch += 1

    def is_current(self, frame: Frame) -> bool:
        """Whether a frame is of the present scene; one that is not is counted as dropped."""
        with self._condition:
            current = frame.epoch == self.epoch
            self.dropped += not current
            return current


@dataclass(frozen=True)
class LiveState:
    """What the threads do at one moment."""

    dropped: int  # frames that nobody answers
    working_for: float  # s since the oldest frame under way was taken; 0 where none is
    failure: str  # why a thread ended that should not have; empty while all run


class LivePipeline:
    """Runs a pipeline on threads of its own, always on the newest frame.

    Args:
        pipeline: used by these threads alone once they run.
        on_update: called with each result, in order, on the thread of results.
        on_error: called there with the frame and the exception that it caused, in the pipeline or
            in `on_update`, or with None and what an action between frames raised; the next frame
            follows.
    """

    POLL = 0.1  # s between looks at the stop flag while no frame comes

    def __init__(
        self,
        pipeline: Pipeline,
        on_update: Callable[[SceneUpdate], None],
        on_error: Callable[[Frame | None, Exception], None],
    ) -> None:
        self.slot = LatestFrameSlot()
        self._pipeline = pipeline
        self._on_update = on_update
        self._on_error = on_error
        self._actions: queue.SimpleQueue[Callable[[Pipeline], None]] = queue.SimpleQueue()
        # A frame with what became of it so far, or the exception it caused; None at the end.
        self._tracked: queue.Queue[tuple[Frame, TrackedFrame | Exception] | None] = queue.Queue(1)
        self._results: queue.Queue[tuple[Frame, SceneUpdate | Exception] | None] = queue.Queue(1)
        self._free = threading.Semaphore()  # the first half: what it made was taken
        self._delivery = threading.Lock()  # held while a result goes out: a reset comes between
        self._reset = threading.Event()
        self._stop = threading.Event()
        self._working: dict[str, float] = {}  # since when each thread computes, steady clock
        self._failure = ""
        self._threads = [
            threading.Thread(target=self._run, args=(run,), name=name, daemon=True)
            for name, run in (
                ("pipeline", self._track_frames),
                ("scene", self._map_frames),
                ("results", self._hand_out),
            )
        ]

    def start(self) -> None:
        """Begin to take frames from the slot."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 2.0) -> bool:
        """Ask to end after the frames under way; False if that takes more than `timeout` s."""
        self._stop.set()
        end = perf_counter() + timeout
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, end - perf_counter()))
        return not self.alive

    @property
    def alive(self) -> bool:
        """Whether a thread still runs, which may be inside the pipeline."""
        return any(thread.is_alive() for thread in self._threads)

    @property
    def state(self) -> LiveState:
        """What the threads do now; may be asked from any thread."""
        since = min(list(self._working.values()), default=None)
        working_for = 0.0 if since is None else monotonic() - since
        return LiveState(self.slot.dropped, working_for, self._failure)

    def reset(self) -> None:
        """Forget the stream: no result of a frame that was put before this comes after it."""
        with self._delivery:
            self.slot.begin_epoch()
        self._reset.set()

    def between_frames(self, action: Callable[[Pipeline], None]) -> None:
        """Have something done while no frame is in the pipeline."""
        self._actions.put(action)

    def _run(self, verb: Callable[[], None]) -> None:
        """The body of a thread. None may end unnoticed, and none may leave the others waiting."""
        try:
            verb()
        except BaseException as error:
            name = threading.current_thread().name
            self._failure = f"the thread '{name}' ended: {error!r}; activate the node again"
            self._stop.set()

    def _track_frames(self) -> None:
        """The first thread: takes frames, and everything that is to be done between them."""
        waited = 0.0  # s for the next frame
        while not self._stop.is_set():
            self._act()
            if not self._free.acquire(timeout=self.POLL):
                continue
            start = perf_counter()
            frame = self.slot.take(self.POLL)
            waited += perf_counter() - start
            if frame is None:
                self._free.release()
                continue
            self._act()  # what was asked for before this frame came
            if not self.slot.is_current(frame):
                self._free.release()
                continue
            self._pipeline.slack.waited(waited)
            waited = 0.0
            self._pass(self._tracked, (frame, self._attempt(self._pipeline.track, frame)))
        self._act()  # whoever asked waits for an answer
        self._pass(self._tracked, None)

    def _act(self) -> None:
        """Resets and actions; the second thread has nothing to do meanwhile."""
        if self._failure or (not self._reset.is_set() and self._actions.empty()):
            return
        self._tracked.join()
        if self._reset.is_set():
            self._reset.clear()
            self._report(None, self._attempt(lambda pipeline: pipeline.reset(), self._pipeline))
        while not self._actions.empty():
            self._report(None, self._attempt(self._actions.get(), self._pipeline))

    def _map_frames(self) -> None:
        while (given := self._next(self._tracked)) is not None:
            frame, tracked = given
            self._free.release()
            self._pass(self._results, (frame, self._attempt(self._pipeline.map, tracked)))
            self._tracked.task_done()
        self._pass(self._results, None)

    def _hand_out(self) -> None:
        while (given := self._next(self._results)) is not None:
            frame, update = given
            with self._delivery:
                if self.slot.is_current(frame):
                    self._report(frame, self._attempt(self._on_update, update))

    def _report(self, frame: Frame | None, said: object) -> None:
        if isinstance(said, Exception):
            self._on_error(frame, said)

    def _pass(self, into: queue.Queue, value: object) -> None:
        """Hand a frame to the next thread, unless that has ended."""
        while not self._failure:
            try:
                return into.put(value, timeout=self.POLL)
            except queue.Full:
                continue

    def _next(self, of: queue.Queue) -> Any:
        """What the thread before this one hands on; None at the end, or where it has ended."""
        while not self._failure:
            try:
                return of.get(timeout=self.POLL)
            except queue.Empty:
                continue

    def _attempt(self, verb: Callable[[Any], Any], value: Any) -> Any:
        """What the verb returns or raises; an exception instead of a value passes it by."""
        if isinstance(value, Exception):
            return value
        name = threading.current_thread().name
        self._working[name] = monotonic()
        try:
            return verb(value)
        except Exception as error:
            return error
        finally:
            self._working.pop(name, None)
