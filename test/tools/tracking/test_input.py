"""Masks of every kind, and memory that does not grow."""

import numpy as np
import pytest

from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.tools.tracking import ToolTracker, TrackerConfig

FRAME = int(1e9 / 15)


def block(dtype=bool, size=(320, 256), value=1):
    mask = np.zeros(size[::-1], dtype)
    mask[size[1] // 3 : size[1] // 2, : size[0] // 3] = value
    return mask


def play(tracker, mask, times, start=0, **options):
    for i in range(times):
        answer = tracker.update(mask, (start + i) * FRAME, **options)
    return answer


@pytest.mark.parametrize("mask", [block(), block(np.uint8, value=255), block(np.int32)])
def test_types(mask):
    answer = play(ToolTracker(), mask, 3)
    assert np.array_equal(answer.labels, block(np.uint8))


@pytest.mark.parametrize("size", [(1280, 1024), (640, 512), (161, 121)])
def test_sizes(size):
    answer = play(ToolTracker(), block(size=size), 3)
    assert np.array_equal(answer.tools[0].mask, block(size=size))


def test_a_mask_of_another_size_is_brought_to_that_of_the_image():
    answer = play(ToolTracker(), block(), 3, size=(640, 512))
    assert answer.labels.shape == (512, 640) and answer.tools[0].mask.sum() == 4 * block().sum()


def test_labels_tell_touching_tools_apart_and_may_be_exchanged():
    labels = block(np.uint8, value=7)
    labels[128:170, :106] = 3
    tracker = ToolTracker()
    first = play(tracker, labels, 4)
    assert {tool.id for tool in first.tools} == {1, 2}
    swapped = np.where(labels == 7, 3, np.where(labels == 3, 7, 0)).astype(np.uint8)
    assert np.array_equal(play(tracker, swapped, 2, 4).labels, first.labels)


def test_an_empty_mask_loses_tools_and_does_not_hide_them():
    tracker = ToolTracker()
    play(tracker, block(), 3)
    answer = tracker.update(np.zeros((256, 320), bool), 3 * FRAME)
    assert answer.usable and [tool.lost for tool in answer.tools] == [True]
    assert not answer.excluded.any()


def test_a_mask_of_everything_is_refused_and_tools_are_held():
    tracker = ToolTracker()
    before = play(tracker, block(), 3)
    answer = tracker.update(np.ones((256, 320), bool), 3 * FRAME)
    assert not answer.usable and "covers 100%" in answer.reason
    assert [(tool.id, tool.lost) for tool in answer.tools] == [(1, True)]
    assert np.array_equal(answer.excluded, before.excluded)
    assert not tracker.update(block(), 4 * FRAME).tools[0].lost
    assert tracker.hold((256, 320), 5 * FRAME, "image is black").reason == "image is black"


@pytest.mark.parametrize("mask", [np.zeros((4, 4, 3)), np.zeros((4, 4)), np.zeros((0, 4), bool)])
def test_what_is_no_mask(mask):
    with pytest.raises(InputError, match="tool mask"):
        ToolTracker().update(mask, 0)


def test_a_stamp_that_goes_back_starts_anew_and_one_that_repeats_does_not():
    tracker = ToolTracker()
    play(tracker, block(), 5)
    assert tracker.update(block(), 4 * FRAME).tools[0].id == 1
    assert not tracker.update(block(), 0).tools
    assert play(tracker, block(), 3, 1).tools[0].born == 0


def test_another_image_shape_starts_anew():
    tracker = ToolTracker()
    play(tracker, block(), 3)
    assert not play(tracker, block(size=(320, 200)), 1, 3).tools


def test_number_of_tools_is_checked():
    with pytest.raises(ConfigurationError, match="0 tools"):
        TrackerConfig(max_tools=0)


def test_memory_is_bounded():
    """Tools come and go at random places for a thousand frames; ids stay within a byte."""
    generator = np.random.default_rng(1)
    tracker = ToolTracker(TrackerConfig(width=80, hold=0.1, memory=0.2))
    seen = set()
    for i in range(1000):
        if i % 5 == 0:
            mask = np.zeros((64, 80), bool)
            for x in generator.integers(0, 70, 6):
                mask[:20, x : x + 6] = True
        answer = tracker.update(mask, i * FRAME)
        seen |= set(answer.born)
        assert len(tracker._tracks) <= 20 and len(tracker._gone) <= 4
    assert len(seen) > 20 and max(seen) <= 255
