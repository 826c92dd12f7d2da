"""The slot and the thread: latest frame wins, nothing blocks, nothing leaks out."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from endosfm3d_ros.pipeline import LatestFrameSlot, LivePipeline
from endosfm3d_ros.types import Frame

IMAGE = np.zeros((4, 4, 3), np.uint8)


class Slow:
    """Stands for a pipeline whose frames take a while."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds
        self.seen: list[int] = []
        self.resets = 0

    def process(self, frame: Frame) -> Frame:
        time.sleep(self.seconds)
        if frame.stamp < 0:
            raise RuntimeError("broken frame")
        self.seen.append(frame.stamp)
        return frame

    def reset(self) -> None:
        self.resets += 1


@pytest.fixture
def live():
    made = []

    def make(pipeline, on_update=lambda update: None, on_error=lambda frame, error: None):
        made.append(LivePipeline(pipeline, on_update, on_error))
        made[-1].start()
        return made[-1]

    yield make
    for one in made:
        assert one.stop()


def until(condition, timeout: float = 3.0) -> bool:
    end = time.monotonic() + timeout
    while not condition() and time.monotonic() < end:
        time.sleep(0.002)
    return condition()


def test_the_slot_keeps_the_newest_and_counts_the_rest():
    slot = LatestFrameSlot()
    for stamp in range(5):
        slot.put(Frame(stamp, IMAGE))
    assert slot.take(0).stamp == 4
    assert slot.dropped == 4
    assert slot.take(0.01) is None


def test_a_slow_pipeline_works_on_the_latest_frame(live):
    slow = Slow(0.05)
    running = live(slow)
    for stamp in range(20):
        running.slot.put(Frame(stamp, IMAGE))
        time.sleep(0.01)
    assert until(lambda: slow.seen and slow.seen[-1] == 19)
    assert len(slow.seen) < 10
    assert len(slow.seen) + running.slot.dropped == 20
    assert slow.seen == sorted(slow.seen)


def test_an_exception_reaches_the_handler_and_the_thread_goes_on(live):
    slow, errors = Slow(), []
    running = live(slow, on_error=lambda frame, error: errors.append((frame.stamp, str(error))))
    running.slot.put(Frame(-1, IMAGE))
    assert until(lambda: errors == [(-1, "broken frame")])
    running.slot.put(Frame(1, IMAGE))
    assert until(lambda: slow.seen == [1])


def test_an_exception_in_the_handler_of_results_does_not_stop_the_thread(live):
    errors = []

    def broken(update):
        raise OSError("no publisher")

    running = live(Slow(), broken, lambda frame, error: errors.append(error))
    for stamp in (1, 2):
        running.slot.put(Frame(stamp, IMAGE))
        assert until(lambda n=stamp: len(errors) == n)


def test_reset_happens_on_the_thread_and_drops_what_waits(live):
    slow, threads = Slow(0.05), []
    slow.reset = lambda: threads.append(threading.current_thread().name)
    running = live(slow)
    running.slot.put(Frame(1, IMAGE))
    time.sleep(0.02)
    running.slot.put(Frame(2, IMAGE))
    running.reset()
    running.slot.put(Frame(3, IMAGE))
    assert until(lambda: 3 in slow.seen)
    assert 2 not in slow.seen
    assert threads == ["pipeline"]


def test_hundred_starts_and_stops_leave_no_thread(live):
    """Fault row 19 at the level of the thread."""
    before = threading.active_count()
    for _ in range(100):
        one = LivePipeline(Slow(), lambda update: None, lambda frame, error: None)
        one.start()
        assert one.stop()
    assert threading.active_count() == before


def test_actions_are_done_between_frames_on_the_same_thread():
    names = []
    live = LivePipeline(Slow(), lambda update: None, lambda frame, error: None)
    live.start()
    live.between_frames(lambda pipeline: names.append(threading.current_thread().name))
    live.stop()
    assert names == ["pipeline"]
