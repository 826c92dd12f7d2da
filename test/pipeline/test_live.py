"""The slot and the thread: latest frame wins, nothing blocks, nothing leaks out."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from endosfm3d_ros.pipeline.live import LatestFrameSlot, LivePipeline
from endosfm3d_ros.runtime.timing import Slack
from endosfm3d_ros.types import Frame

IMAGE = np.zeros((4, 4, 3), np.uint8)


class Recording:
    """Stands for a pipeline; what it is busy with takes until `may_go_on` is set."""

    def __init__(self) -> None:
        self.slack = Slack()
        self.seen: list[int] = []
        self.busy, self.may_go_on = threading.Event(), threading.Event()
        self.may_go_on.set()

    def track(self, frame: Frame) -> Frame:
        self.busy.set()
        assert self.may_go_on.wait(30)
        if frame.stamp < 0:
            raise RuntimeError("broken frame")
        self.seen.append(frame.stamp)
        return frame

    def map(self, tracked: Frame) -> Frame:
        return tracked

    def hold(self, running: LivePipeline, stamp: int) -> None:
        """Have it busy with a frame."""
        self.may_go_on.clear()
        running.slot.put(Frame(stamp, IMAGE))
        assert self.busy.wait(30)


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


def until(condition, timeout: float = 20.0) -> bool:
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
    slow = Recording()
    running = live(slow)
    slow.hold(running, 0)
    for stamp in range(1, 20):
        running.slot.put(Frame(stamp, IMAGE))
    slow.may_go_on.set()
    assert until(lambda: len(slow.seen) == 2)
    assert slow.seen == [0, 19]
    assert running.slot.dropped == 18


def test_an_exception_reaches_the_handler_and_the_thread_goes_on(live):
    slow, errors = Recording(), []
    running = live(slow, on_error=lambda frame, error: errors.append((frame.stamp, str(error))))
    running.slot.put(Frame(-1, IMAGE))
    assert until(lambda: errors == [(-1, "broken frame")])
    running.slot.put(Frame(1, IMAGE))
    assert until(lambda: slow.seen == [1])


def test_an_exception_in_the_handler_of_results_does_not_stop_the_thread(live):
    errors = []

    def broken(update):
        raise OSError("no publisher")

    running = live(Recording(), broken, lambda frame, error: errors.append(error))
    for stamp in (1, 2):
        running.slot.put(Frame(stamp, IMAGE))
        assert until(lambda n=stamp: len(errors) == n)


def test_the_next_frame_is_tracked_while_one_is_mapped_and_results_keep_their_order(live):
    pipeline, results = Recording(), []
    entered, leave = threading.Event(), threading.Event()

    def slow_map(frame):
        entered.set()
        assert leave.wait(30)
        return frame

    pipeline.map = slow_map
    running = live(pipeline, lambda frame: results.append(frame.stamp))
    running.slot.put(Frame(1, IMAGE))
    assert entered.wait(30)
    running.slot.put(Frame(2, IMAGE))
    assert until(lambda: pipeline.seen == [1, 2])  # the first one is still being mapped
    leave.set()
    assert until(lambda: results == [1, 2])


def test_an_exception_keeps_its_place_among_the_results(live):
    pipeline, said = Recording(), []
    pipeline.map = lambda frame: 1 / frame.stamp and frame
    running = live(
        pipeline,
        lambda frame: said.append(frame.stamp),
        lambda frame, error: said.append(type(error).__name__),
    )
    for count, stamp in enumerate((1, 0, -1, 2), 1):
        running.slot.put(Frame(stamp, IMAGE))
        assert until(lambda count=count: len(said) == count)
    assert said == [1, "ZeroDivisionError", "RuntimeError", 2]


def test_actions_find_no_frame_in_the_pipeline(live):
    pipeline, order = Recording(), []
    entered, leave = threading.Event(), threading.Event()

    def slow_map(frame):
        entered.set()
        assert leave.wait(30)
        order.append("finished")
        return frame

    pipeline.map = slow_map
    running = live(pipeline)
    running.slot.put(Frame(1, IMAGE))
    assert entered.wait(30)
    running.between_frames(lambda pipeline: order.append("action"))
    time.sleep(3 * LivePipeline.POLL)
    leave.set()
    assert until(lambda: len(order) == 2)
    assert order == ["finished", "action"]


def test_reset_happens_on_the_thread_and_drops_what_waits(live):
    slow, threads = Recording(), []
    slow.reset = lambda: threads.append(threading.current_thread().name)
    running = live(slow)
    slow.hold(running, 1)
    running.slot.put(Frame(2, IMAGE))
    running.reset()
    running.slot.put(Frame(3, IMAGE))
    slow.may_go_on.set()
    assert until(lambda: len(slow.seen) == 2)
    assert slow.seen == [1, 3]
    assert threads == ["pipeline"]


def test_hundred_starts_and_stops_leave_no_thread(live):
    """Fault row 19 at the level of the thread."""
    before = threading.active_count()
    for _ in range(100):
        one = LivePipeline(Recording(), lambda update: None, lambda frame, error: None)
        one.start()
        assert one.stop()
    assert threading.active_count() == before


def test_actions_are_done_between_frames_on_the_same_thread():
    names = []
    live = LivePipeline(Recording(), lambda update: None, lambda frame, error: None)
    live.start()
    live.between_frames(lambda pipeline: names.append(threading.current_thread().name))
    live.stop()
    assert names == ["pipeline"]


def test_what_a_slow_camera_leaves_idle_is_given_to_the_map():
    slack = Slack()
    for _ in range(30):  # a camera with 100 ms to spare, whatever is spent is missing
        slack.waited(max(0.0, 0.1 - slack.seconds))
    assert 0.03 < slack.seconds < 0.06
    for _ in range(30):  # a pipeline that never waits has nothing to give
        slack.waited(0.0)
    assert slack.seconds < 1e-4
    slack.waited(600.0)  # nor does a pause
    assert slack.seconds < 0.1


def test_the_pipeline_hears_how_long_its_thread_waited(live):
    slow = Recording()
    running = live(slow)
    assert until(lambda: slow.slack.seconds == 0)
    time.sleep(0.05)
    running.slot.put(Frame(1, IMAGE))
    assert until(lambda: slow.seen == [1])
    assert slow.slack.seconds > 0


def test_a_reset_is_a_barrier_for_results(live):
    """Frames of before it, wherever they are, are neither computed on nor handed out after it."""
    pipeline, results = Recording(), []
    pipeline.reset = lambda: None
    entered, leave = threading.Event(), threading.Event()

    def slow_map(frame):
        entered.set()
        assert leave.wait(30)
        return frame

    pipeline.map = slow_map
    running = live(pipeline, lambda frame: results.append(frame.stamp))
    running.slot.put(Frame(1, IMAGE))  # is being mapped
    assert entered.wait(30)
    running.slot.put(Frame(2, IMAGE))  # is tracked
    assert until(lambda: pipeline.seen == [1, 2])
    running.slot.put(Frame(3, IMAGE))  # waits in the slot
    running.reset()
    running.slot.put(Frame(4, IMAGE))
    leave.set()
    assert until(lambda: results == [4])
    assert 3 not in pipeline.seen
    assert running.state.dropped == 3


def test_a_reset_waits_for_the_result_that_is_going_out(live):
    order, going_out, go_on = [], threading.Event(), threading.Event()
    pipeline = Recording()
    pipeline.reset = lambda: None

    def publish(frame):
        going_out.set()
        assert go_on.wait(30)
        order.append("published")

    running = live(pipeline, publish)
    running.slot.put(Frame(1, IMAGE))
    assert going_out.wait(30)
    threading.Timer(0.1, go_on.set).start()
    running.reset()
    order.append("withdrawn")
    assert order == ["published", "withdrawn"]


def test_an_action_that_raises_is_reported_and_the_thread_goes_on(live):
    errors = []
    pipeline = Recording()
    running = live(pipeline, on_error=lambda frame, error: errors.append((frame, repr(error))))
    running.between_frames(lambda pipeline: 1 / 0)
    assert until(lambda: errors == [(None, "ZeroDivisionError('division by zero')")])
    running.slot.put(Frame(1, IMAGE))
    assert until(lambda: pipeline.seen == [1])


def test_a_reset_that_raises_is_reported_and_the_thread_goes_on(live):
    errors, pipeline = [], Recording()  # has no reset
    running = live(pipeline, on_error=lambda frame, error: errors.append(type(error)))
    running.reset()
    assert until(lambda: errors == [AttributeError])
    running.slot.put(Frame(1, IMAGE))
    assert until(lambda: pipeline.seen == [1])


def test_a_thread_that_ends_is_known_at_once_and_keeps_nobody_waiting():
    def broken(frame, error):
        raise SystemExit("the handler of errors fails")

    pipeline = Recording()
    running = LivePipeline(pipeline, lambda update: None, broken)
    running.start()
    assert running.state.failure == ""
    running.slot.put(Frame(-1, IMAGE))
    assert until(lambda: "thread 'results' ended" in running.state.failure)
    assert running.stop()


def test_how_long_a_frame_has_been_computed_is_known(live):
    slow = Recording()
    running = live(slow)
    assert running.state.working_for == 0
    slow.hold(running, 1)
    time.sleep(0.05)
    assert running.state.working_for >= 0.05
    slow.may_go_on.set()
    assert until(lambda: running.state.working_for == 0)
