"""Which frames form triplets, what is held out, and batches that come again the same."""

from dataclasses import replace

import numpy as np
import pytest
from tiny_training import TINY_OURS, TINY_RELEASED, moving_clip

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.training.recipes import ColourJitter
from endosfm3d_ros.training.triplets import (
    Item,
    Triplet,
    TripletImages,
    epoch_batches,
    load_batches,
    split_by_clip,
    split_by_time,
    triplets_of,
    validation_batches,
)

SIZE = (112, 112)


@pytest.fixture(scope="module")
def clips():
    return [moving_clip(SIZE, frames=20, seed=seed) for seed in range(3)]


def frames_of(triplets):
    return {(t.clip, t.frame + d) for t in triplets for d in (-1, 0, 1)}


def test_gaps_in_time_have_no_neighbours():
    clip = moving_clip(SIZE, frames=8)
    stamps = clip.stamps.copy()
    stamps[4:] += 1_000_000_000
    found = triplets_of([replace(clip, stamps=stamps)])
    assert found == [Triplet(0, 1), Triplet(0, 2), Triplet(0, 5), Triplet(0, 6)]


def test_held_out_frames_are_never_learnt_from(clips):
    split = split_by_time(clips, 0.2)
    assert len(split.validation) == 3 * round(0.2 * 18)
    assert not frames_of(split.training) & frames_of(split.validation)
    whole = split_by_clip(clips, 1)
    assert {t.clip for t in whole.validation} == {2}
    assert {t.clip for t in whole.training} == {0, 1}


def test_too_short_a_recording_is_named():
    with pytest.raises(InputError, match="are left for training"):
        split_by_time([moving_clip(SIZE, frames=5)], 0.1)


def test_every_triplet_comes_once_an_epoch_and_in_another_order(clips):
    triplets = split_by_time(clips, 0.2).training
    recipe = replace(TINY_RELEASED, batch_size=4)
    orders = []
    for epoch in (0, 1):
        batches = epoch_batches(triplets, recipe, epoch)
        order = [item.triplet for batch in batches for item in batch]
        assert len(set(order)) == len(order) == len(triplets) // 4 * 4
        orders.append(order)
    assert orders[0] != orders[1]
    assert epoch_batches(triplets, recipe, 1) == epoch_batches(triplets, recipe, 1)


def test_a_common_camera_means_batches_of_one_clip_and_one_mirroring(clips):
    triplets = split_by_time(clips, 0.2).training
    batches = epoch_batches(triplets, replace(TINY_OURS, batch_size=4), 0)
    for batch in batches:
        assert len({triplets[item.triplet].clip for item in batch}) == 1
        assert len({item.flipped for item in batch}) == 1
    assert {batch[0].flipped for batch in batches} == {False, True}
    assert len({triplets[batch[0].triplet].clip for batch in batches}) == 3


def test_validation_sees_all_in_order_without_changes(clips):
    triplets = split_by_time(clips, 0.2).validation
    batches = validation_batches(triplets, replace(TINY_OURS, batch_size=3))
    assert [item for batch in batches for item in batch] == [
        Item(index) for index in range(len(triplets))
    ]
    for batch in batches:
        assert len({triplets[item.triplet].clip for item in batch}) == 1


def test_an_item_is_target_before_after_and_repeats_itself(clips):
    images = TripletImages(clips, (Triplet(1, 5),), TINY_OURS)
    plain = images[Item(0)]
    for at, frame in enumerate((5, 4, 6)):
        expected = clips[1].images[frame].transpose(2, 0, 1) / 255
        np.testing.assert_allclose(plain["images"][at], expected, atol=1e-6)
    np.testing.assert_array_equal(plain["images"], plain["jittered"])
    mirrored = images[Item(0, flipped=True)]
    np.testing.assert_array_equal(mirrored["images"], plain["images"][..., ::-1])
    np.testing.assert_array_equal(mirrored["tissue"], plain["tissue"][..., ::-1])
    for epoch in range(4):
        first, again = images[Item(0, epoch)], images[Item(0, epoch)]
        np.testing.assert_array_equal(first["jittered"], again["jittered"])


@pytest.mark.parametrize("shared", [True, False])
def test_jitter_is_shared_within_a_triplet_or_not(clips, shared):
    jitter = ColourJitter(probability=1.0, shared=shared)
    still = [replace(clip, images=clip.images[:1].repeat(20, axis=0)) for clip in clips]
    images = TripletImages(still, (Triplet(0, 5),), replace(TINY_OURS, jitter=jitter))
    item = images[Item(0, epoch=0)]
    target, before, after = item["jittered"]
    assert np.abs(target - item["images"][0]).max() > 0.02
    assert np.array_equal(target, before) == np.array_equal(target, after) == shared
    assert (item["jittered"].min(), item["jittered"].max()) >= (0, 0)
    assert item["jittered"].max() <= 1


def test_a_batch_puts_frames_first(clips):
    images = TripletImages(clips, (Triplet(0, 5), Triplet(0, 6)), TINY_OURS)
    batch = next(iter(load_batches(images, [[Item(0), Item(1)]])))
    assert batch.images.shape == (3, 2, 3, *SIZE)
    assert batch.depth_input.shape == (2, 3, 56, 70)
    assert batch.tissue.shape == (3, 2, 1, *SIZE)
