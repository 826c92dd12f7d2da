"""Masks from outside: any size and type that makes sense, a reason where none does."""

import numpy as np
import pytest

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.tools.segmentation import mask_source
from endosfm3d_ros.types import Frame

IMAGE = np.full((60, 80, 3), 90, np.uint8)


def segment(frame, labels):
    return mask_source("topic").segment(frame(IMAGE, tool_labels=labels))


def labels_of(dtype, value=1, shape=(60, 80)):
    labels = np.zeros(shape, dtype)
    labels[: shape[0] // 2, : shape[1] // 4] = value
    return labels


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int32])
def test_types(frame, dtype):
    found = segment(frame, labels_of(dtype))
    assert found.usable and found.mask.sum() == 30 * 20


def test_labels_are_kept_and_binary_masks_have_none(frame):
    labels = labels_of(np.uint8) + 2 * labels_of(np.uint8)[:, ::-1]
    assert set(np.unique(segment(frame, labels).labels)) == {0, 1, 2}
    assert segment(frame, labels_of(np.uint8, 255)).labels is None
    assert segment(frame, labels_of(bool)).labels is None


def test_another_size_is_resized_by_nearest_neighbour(frame):
    found = segment(frame, labels_of(np.uint8, 3, (120, 160)))
    assert set(np.unique(found.labels)) == {0, 3} and found.mask.sum() == 30 * 20


def test_an_empty_mask_is_an_image_without_tools(frame):
    found = segment(frame, np.zeros((60, 80), np.uint8))
    assert found.usable and found.area_share == 0


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (None, "no mask came"),
        (np.ones((60, 80), np.uint8), "covers 100%"),
        (np.zeros((60, 80), np.float32), "float32"),
        (np.zeros((60, 80, 3), np.uint8), "[60, 80, 3]"),
        (np.full((60, 80), 300, np.uint16), "300"),
        (np.zeros((0, 80), np.uint8), "[0, 80]"),
    ],
)
def test_what_is_no_mask_says_so(frame, labels, reason):
    found = segment(frame, labels)
    assert not found.usable and reason in found.reason
    assert found.mask.shape == (60, 80) and not found.mask.any()


def test_unknown_source():
    with pytest.raises(ConfigurationError, match="topic, colour, network"):
        mask_source("magic")


def test_automatic_masks_are_the_streams_own_for_images_that_have_one(monkeypatch, tmp_path):
    monkeypatch.setenv("ENDOSFM3D_TOOLS", str(tmp_path))  # no network there
    source = mask_source("auto")
    image, mask = np.full((60, 80, 3), 120, np.uint8), np.zeros((60, 80), np.uint8)
    mask[10:30] = 1
    assert source.segment(Frame(0, image)).source == source.name == "colour"
    given = source.segment(Frame(1, image, tool_labels=mask))
    assert given.source == source.name == "topic"
    assert np.array_equal(given.mask, mask > 0)
    between = source.segment(Frame(2, image))  # masks may come more rarely than images
    assert between.source == source.name == "colour"
    source.reset()
    assert source.name == "colour"
