"""Frames through a pipeline whose speed and mood are known."""

from __future__ import annotations

import time

import pytest

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.evaluation.runs.playback import play_live, play_offline
from endosfm3d_ros.runtime.timing import Slack


class MadePipeline:
    """Answers after `seconds`; fails at the frame of position `fails_at`."""

    def __init__(self, make_update, seconds: float = 0.0, fails_at: int | None = None) -> None:
        self._make, self._seconds, self._fails_at = make_update, seconds, fails_at
        self.count = 0
        self.slack = Slack()

    def process(self, frame):
        return self.map(self.track(frame))

    def track(self, frame):
        return frame

    def map(self, frame):
        time.sleep(self._seconds)
        if self.count == self._fails_at:
            raise InputError("no right image")
        self.count += 1
        return self._make(frame)


class Log:
    """What the run reported."""

    def __init__(self) -> None:
        self.positions, self.updates, self.fed = [], [], []

    def updated(self, i, update) -> None:
        self.positions.append(i)
        self.updates.append(update)


@pytest.fixture
def log() -> Log:
    return Log()


def test_offline_processes_every_frame_in_order(clip, make_update, log):
    played = play_offline(clip(7), MadePipeline(make_update), log.updated, log.fed.append)
    assert (played.processed, played.dropped, played.input_hz) == (7, 0, None)
    assert log.positions == list(range(7)) and log.fed == list(range(1, 8))


def test_offline_rate_is_that_of_the_pipeline_alone(clip, make_update, log):
    def slow_reader(i, update):
        time.sleep(0.1)

    pipeline = MadePipeline(make_update, seconds=0.01)
    played = play_offline(clip(5), pipeline, slow_reader, log.fed.append)
    assert 0.05 <= played.seconds < 0.4


def test_live_keeps_up_with_a_quick_pipeline(clip, make_update, log):
    played = play_live(clip(9, fps=10), MadePipeline(make_update), log.updated, log.fed.append)
    assert (played.processed, played.dropped) == (9, 0)
    assert log.positions == list(range(9)) and log.fed == list(range(1, 10))
    assert 0.8 <= played.seconds < 1.3  # eight periods
    assert played.input_hz == pytest.approx(10, rel=0.3)


def test_live_drops_what_a_slow_pipeline_cannot_take(clip, make_update, log):
    pipeline = MadePipeline(make_update, seconds=0.1)  # 3 periods of the clip
    played = play_live(clip(20, fps=30), pipeline, log.updated, log.fed.append)
    assert played.processed + played.dropped == 20
    assert 2 <= played.processed <= 9
    assert log.positions == sorted(set(log.positions))
    assert log.positions[0] == 0 and log.positions[-1] == 19  # the latest frame wins


def test_live_counts_the_time_from_the_image_to_its_update(clip, make_update, log):
    pipeline = MadePipeline(make_update, seconds=0.05)
    play_live(clip(3, fps=10), pipeline, log.updated, log.fed.append)
    assert all(50 <= update.timings["image_to_update"] < 1000 for update in log.updates)
    assert all(update.timings["total"] == 1.0 for update in log.updates)


def test_live_says_when_the_recording_cannot_be_read_at_its_rate(clip, make_update, log):
    class SlowDisk(clip):
        def __iter__(self):
            for frame in super().__iter__():
                time.sleep(0.05)
                yield frame

    played = play_live(SlowDisk(6, fps=100), MadePipeline(make_update), log.updated, log.fed.append)
    assert played.dropped == 0
    assert played.input_hz < 30


@pytest.mark.parametrize("play", [play_offline, play_live])
def test_a_frame_that_fails_ends_the_run(clip, make_update, log, play):
    with pytest.raises(InputError, match="no right image"):
        play(clip(30), MadePipeline(make_update, fails_at=2), log.updated, log.fed.append)
    assert len(log.fed) < 10


@pytest.mark.parametrize("play", [play_offline, play_live])
def test_an_empty_recording_is_no_run(clip, make_update, log, play):
    played = play(clip(0), MadePipeline(make_update), log.updated, log.fed.append)
    assert (played.processed, played.dropped) == (0, 0)
