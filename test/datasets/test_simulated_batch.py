"""Random batches for training: their contract, and that truth and pictures belong together."""

import numpy as np
import pytest
import torch

from endosfm3d_ros.datasets.simulation.batch import random_batch

HEIGHT, WIDTH = 96, 120


@pytest.fixture(scope="module")
def singles():
    return random_batch(5, 24, 1, HEIGHT, WIDTH)


@pytest.fixture(scope="module")
def triples():
    return random_batch(6, 6, 3, HEIGHT, WIDTH)


@pytest.mark.parametrize(("name", "frames"), [("singles", 1), ("triples", 3)])
def test_shapes_types_and_ranges(request, name, frames):
    batch = request.getfixturevalue(name)
    count = len(batch.images)
    planes = (count, frames, HEIGHT, WIDTH)
    assert batch.images.shape == (count, frames, 3, HEIGHT, WIDTH)
    assert batch.depth.shape == batch.labels.shape == batch.parts.shape == planes
    assert batch.intrinsics.shape == (count, 3, 3) and batch.poses.shape == (count, frames, 4, 4)
    kinds = {batch.images.dtype, batch.labels.dtype, batch.parts.dtype}
    assert kinds == {torch.uint8}
    assert {batch.depth.dtype, batch.intrinsics.dtype, batch.poses.dtype} == {torch.float32}
    assert batch.depth.isfinite().all() and batch.depth.min() > 0.003 and batch.depth.max() < 3
    assert batch.depth.flatten(1).median(1).values.min() > 0.02
    field = 2 * torch.atan(WIDTH / 2 / batch.intrinsics[:, 0, 0]) * 180 / torch.pi
    assert field.min() > 24 and field.max() < 91
    assert torch.equal(batch.poses[:, 0], torch.eye(4).expand(count, 4, 4))


def test_the_same_seed_gives_the_same_batch():
    first, again, other = (random_batch(seed, 3, 2, 64, 80) for seed in (1, 1, 2))
    for name in ("images", "depth", "labels", "parts", "intrinsics", "poses"):
        assert torch.equal(getattr(first, name), getattr(again, name))
    assert not torch.equal(first.images, other.images)


def test_instruments_have_parts_and_stand_before_the_tissue(singles):
    metal = singles.labels > 0
    assert torch.equal(metal, singles.parts > 0)
    share = metal.float().mean((1, 2, 3))
    assert (share == 0).any() and (share > 0.1).any() and share.max() < 0.95
    assert set(singles.parts.unique().tolist()) == {0, 1, 2, 3}
    beside = (metal[..., :-1] != metal[..., 1:]) & metal[..., :-1]
    step = (singles.depth[..., 1:] - singles.depth[..., :-1])[beside]
    assert (step > 0).float().mean() > 0.8  # the rest is tissue in front of a tool


def test_pictures_differ_and_are_well_exposed(singles):
    grey = singles.images.float().mean((1, 2)).flatten(1)
    assert grey.std(1).min() > 5
    assert grey.mean(1).min() > 25 and grey.mean(1).max() < 215
    red, blue = singles.images[:, 0, 0].float().mean(), singles.images[:, 0, 2].float().mean()
    assert red > 1.1 * blue


def test_near_tissue_is_brighter(singles):
    """Inverse-square light: over many scenes, brightness follows inverse depth."""
    ranks = []
    for image, depth, labels in zip(singles.images, singles.depth, singles.labels):
        tissue = labels[0] == 0
        bright = image[0].float().mean(0)[tissue].numpy()
        ranks.append(np.corrcoef(np.log(bright + 5), -np.log(depth[0][tissue].numpy()))[0, 1])
    assert np.mean(ranks) > 0.2


def test_later_frames_see_the_same_scene_from_elsewhere(triples):
    moved = triples.poses[:, 2, :3, 3].norm(dim=1)
    assert (moved > 1e-4).any()
    steps = (triples.depth[:, 1] - triples.depth[:, 0]).abs() / triples.depth[:, 0]
    assert steps.flatten(1).median(1).values.max() < 0.1
