"""A recording through the pipeline: frame by frame, or at its own rate as a camera would."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.pipeline.live import LivePipeline
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.types import Frame, SceneUpdate

OnUpdate = Callable[[int, SceneUpdate], None]
OnFrame = Callable[[int], None]


@dataclass(frozen=True)
class Played:
    """How a run went."""

    processed: int
    dropped: int
    seconds: float  # that the rates refer to
    input_hz: float | None = None  # at which frames were fed; None where each waits for the last


def play_offline(
    sequence: Sequence, pipeline: Pipeline, on_update: OnUpdate, on_frame: OnFrame
) -> Played:
    """Every frame in order; `seconds` is the time within the pipeline, without reading.

    Args:
        sequence: the recording.
        pipeline: used as it is.
        on_update: called with the position and the result of each frame.
        on_frame: called with the count of frames done.
    """
    busy, count = 0.0, 0
    for i, frame in enumerate(sequence):
        start = time.perf_counter()
        update = pipeline.process(frame)
        busy += time.perf_counter() - start
        count += 1
        on_update(i, update)
        on_frame(count)
    return Played(count, 0, busy)


def play_live(
    sequence: Sequence, pipeline: Pipeline, on_update: OnUpdate, on_frame: OnFrame
) -> Played:
    """Frames at the times that their stamps say; the latest one wins, the rest are dropped.

    Adds the stage `image_to_update`, from the time when a frame was handed over, to its timings.
    `seconds` is wall time from the first frame to the last update. Where the recording cannot be
    read at its rate, `input_hz` is lower than that.

    Args:
        sequence: the recording.
        pipeline: used by threads of its own.
        on_update: called on one of them with the position and the result of each processed frame.
        on_frame: called with the count of frames fed.

    Raises:
        Exception: the first one that a frame caused; the run ends there.
    """
    listener = _Listener(on_update)
    live = LivePipeline(pipeline, listener.updated, listener.failed)
    live.start()
    try:
        start = time.perf_counter()
        fed = _feed(sequence, live, listener, start, on_frame)
        fed_seconds = time.perf_counter() - start
        listener.wait_for(lambda: live.slot.dropped + listener.processed >= fed)
        seconds = time.perf_counter() - start
    finally:
        live.stop()
    input_hz = (fed - 1) / fed_seconds if fed > 1 else sequence.fps
    return Played(listener.processed, live.slot.dropped, seconds, input_hz)


def _feed(
    sequence: Sequence, live: LivePipeline, listener: _Listener, start: float, on_frame: OnFrame
) -> int:
    """Hand over each frame when it is due; returns how many. Ends at the first failure."""
    first: int | None = None
    fed = 0
    for i, frame in enumerate(sequence):
        first = frame.stamp if first is None else first
        due = start + (frame.stamp - first) * 1e-9
        time.sleep(max(0.0, due - time.perf_counter()))
        listener.expect(i, frame)
        live.slot.put(frame)
        fed = i + 1
        on_frame(fed)
        if listener.error is not None:
            break
    return fed


class _Listener:
    """Collects what the pipeline answers."""

    def __init__(self, on_update: OnUpdate) -> None:
        self._on_update = on_update
        self._answer = threading.Condition()
        self._expected: dict[int, tuple[int, float]] = {}  # stamp -> position, time handed over
        self.processed = 0
        self.error: Exception | None = None

    def expect(self, i: int, frame: Frame) -> None:
        """A frame is about to be handed over."""
        self._expected[frame.stamp] = i, time.perf_counter()

    def updated(self, update: SceneUpdate) -> None:
        """Called on the thread of results."""
        i, handed_over = self._expected[update.frame.stamp]
        waited = {"image_to_update": (time.perf_counter() - handed_over) * 1e3}
        self._on_update(i, replace(update, timings={**update.timings, **waited}))
        with self._answer:
            self.processed += 1
            self._answer.notify()

    def failed(self, frame: Frame, error: Exception) -> None:
        """Called on the thread of results."""
        with self._answer:
            self.error = self.error or error
            self._answer.notify()

    def wait_for(self, done: Callable[[], bool]) -> None:
        """Until all is done, or raise what a frame caused."""
        with self._answer:
            self._answer.wait_for(lambda: self.error is not None or done())
        if self.error is not None:
            raise self.error
