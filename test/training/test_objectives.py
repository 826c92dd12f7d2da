"""Both steps by recipe: the released one against the released code, ours for what it adds."""

from dataclasses import replace

import pytest
import torch

pytest.importorskip("peft", reason="training needs peft (resource/requirements/train.txt)")

from tiny_training import TINY_OURS, moving_clip, tiny_networks, tiny_trainer

from endosfm3d_ros.evaluation.parity.golden import GoldenFolder
from endosfm3d_ros.evaluation.parity.training_step import load_networks
from endosfm3d_ros.networks.camera_motion import intrinsics_from_q
from endosfm3d_ros.training.batches import TripletBatch
from endosfm3d_ros.training.objectives import Objectives
from endosfm3d_ros.training.recipes import OURS, RELEASED, LossWeights
from endosfm3d_ros.training.start import fresh_pose
from endosfm3d_ros.training.triplets import TripletImages, load_batches, split_by_time
from endosfm3d_ros.training.triplets import validation_batches as still_batches


@pytest.fixture(scope="module")
def golden(shared):
    return GoldenFolder(shared / "golden")


def test_the_released_recipe_has_the_losses_of_the_released_code(golden):
    arrays, pose = golden.arrays("endosfm3d_train"), golden.arrays("endosfm3d_pose")
    images = torch.stack([pose.image(f"image_{f}_u8") for f in ("0", "m1", "p1")])
    tissue = torch.zeros((3, 1, 1, 256, 320))  # which must not matter
    batch = TripletBatch(images, images, images[0], tissue)
    objectives = Objectives(load_networks(golden), RELEASED)
    with torch.no_grad():
        flow, depth = objectives.flow(batch), objectives.depth(batch).loss
    assert flow.item() == pytest.approx(float(arrays["position_loss"]), rel=1e-4)
    assert depth.item() == pytest.approx(float(arrays["depth_loss"]), rel=1e-4)


def batch_of(recipe, count=2):
    clips = [moving_clip(recipe.image_size)]
    triplets = split_by_time(clips, 0.3).validation[:count]
    batches = still_batches(triplets, replace(recipe, batch_size=count))
    return next(iter(load_batches(TripletImages(clips, triplets, recipe), batches)))


def losses(recipe, batch):
    networks = tiny_networks(recipe)
    networks.enter_evaluation()
    with torch.no_grad():
        objectives = Objectives(networks, recipe)
        return objectives.flow(batch).item(), objectives.depth(batch).loss.item()


def test_pixels_that_are_no_tissue_do_not_count():
    batch = batch_of(TINY_OURS)
    hidden = batch.tissue.clone()
    hidden[..., 30:80, 30:80] = 0
    batch = replace(batch, tissue=hidden)
    images = batch.images.clone()
    images[:, ..., 45:65, 45:65] = torch.rand_like(images[:, ..., 45:65, 45:65])
    spoilt = replace(batch, images=images)
    weights = LossWeights(flow_smoothness=0, disparity_smoothness=0)
    recipe = replace(TINY_OURS, weights=weights)
    plain = replace(recipe, masked=False)
    for masked, open_ in zip(
        zip(losses(recipe, batch), losses(recipe, spoilt)),
        zip(losses(plain, batch), losses(plain, spoilt)),
    ):
        change = abs(masked[1] - masked[0]) / masked[0]
        assert change < 0.2 * abs(open_[1] - open_[0]) / open_[0]


def test_a_batch_has_one_camera():
    objectives = Objectives(tiny_networks(TINY_OURS), TINY_OURS)
    q = torch.randn(2, 3, 4) * 0.1
    (first, second), disagreement = objectives._cameras(q)
    assert torch.equal(first, second)
    assert (first == first[0]).all()
    mean = q.mean(dim=(0, 1)) + 0.5
    torch.testing.assert_close(first[0, 0, 2], mean[2] * 112)
    torch.testing.assert_close(disagreement, (q - q.mean(dim=(0, 1))).square().mean())


def test_half_precision_stays_near():
    batch, networks = batch_of(TINY_OURS), tiny_networks(TINY_OURS)
    networks.enter_evaluation()
    with torch.no_grad():
        exact = Objectives(networks, TINY_OURS).depth(batch)
        half = Objectives(networks, TINY_OURS, half=True).depth(batch)
    assert half.disparities[0].dtype == torch.float32
    assert half.loss.item() == pytest.approx(exact.loss.item(), rel=0.05)
    assert half.loss.item() != exact.loss.item()


def test_half_precision_trains(tmp_path):
    trainer = tiny_trainer(tmp_path, half=True, max_steps=3)
    before = trainer.networks.depth.head.conv1.weight.clone()
    assert trainer.run().step == 3
    assert not torch.equal(trainer.networks.depth.head.conv1.weight, before)


def test_a_fresh_camera_begins_where_the_recipe_says():
    pair = torch.rand((2, 6, 256, 320), generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    network = fresh_pose(OURS).eval()
    with torch.no_grad():
        _, _, q = network(pair)
    K = intrinsics_from_q(q, 320, 256)
    torch.testing.assert_close(K[0, 0, 0] / 320, torch.tensor(0.82), atol=0.1, rtol=0)
    torch.testing.assert_close(K[0, 1, 1], K[0, 0, 0], atol=25, rtol=0)
    torch.testing.assert_close(K[0, :2, 2], torch.tensor([160.0, 128.0]), atol=30, rtol=0)
