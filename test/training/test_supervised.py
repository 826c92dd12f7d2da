"""Supervised training on a stand-in for the simulator: losses fall, and a killed run goes on."""

from __future__ import annotations

import csv
from dataclasses import dataclass

import pytest
import torch

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.networks import checkpoints
from endosfm3d_ros.networks.depth import DepthNetwork
from endosfm3d_ros.networks.flow_matching import CoarseMatch
from endosfm3d_ros.networks.students import DepthStudent
from endosfm3d_ros.training.supervised import card as card_module
from endosfm3d_ros.training.supervised.bank import Bank, BankConfig, Sample
from endosfm3d_ros.training.supervised.depth import DepthLossConfig, DepthTask, depth_loss
from endosfm3d_ros.training.supervised.large_depth import LargeDepthTask
from endosfm3d_ros.training.supervised.loop import Schedule, fit, generator_of
from endosfm3d_ros.training.supervised.pairs import mirrored, pair_truth, seen_again
from endosfm3d_ros.training.supervised.photometry import photometric
from endosfm3d_ros.training.supervised.pose import PoseLossConfig, PoseTask, match_error
from endosfm3d_ros.training.supervised.segmentation import (
    IGNORED,
    UNKNOWN,
    SegmentationLossConfig,
    SegmentationTask,
    segmentation_loss,
)
from endosfm3d_ros.training.supervised.windows import enlarged, windows

HEIGHT, WIDTH = 64, 96


@dataclass
class Rendered:
    images: torch.Tensor
    depth: torch.Tensor
    labels: torch.Tensor
    parts: torch.Tensor
    intrinsics: torch.Tensor
    poses: torch.Tensor
    flow: torch.Tensor


def slanted_planes(seed, count, frames, height, width, device):
    """Planes lit from the camera, a grey bar as instrument; the camera slides sideways."""
    random = torch.Generator().manual_seed(seed)
    slope = 0.4 * torch.rand((count, 1, 2, 1, 1), generator=random) - 0.2
    y, x = torch.meshgrid(
        torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij"
    )
    depth = 0.1 * (1 + slope[:, :, 0] * x + slope[:, :, 1] * y).expand(-1, frames, -1, -1)
    light = (0.07 / depth) ** 2
    noise = 0.7 + 0.3 * torch.rand((count, 1, 1, height, width), generator=random)
    colour = torch.tensor([0.9, 0.5, 0.4])[:, None, None]
    images = light[:, :, None] * colour * noise
    bar = (torch.rand((count, 1, 1, 1), generator=random) * width - torch.arange(width)).abs() < 12
    parts = bar.expand(-1, frames, height, -1).byte() * (1 + (y > 0).byte())
    images = torch.where(parts[:, :, None] > 0, light[:, :, None] * 0.6, images)
    K = torch.tensor([[0.9 * width, 0, width / 2], [0, 0.9 * width, height / 2], [0, 0, 1]])
    poses = torch.eye(4).repeat(count, frames, 1, 1)
    step = 0.01 * torch.rand((count,), generator=random)
    poses[:, :, 0, 3] = step[:, None] * torch.arange(frames)
    forth = poses[:, :, 0, 3].roll(-1, 1) - poses[:, :, 0, 3]  # to the next frame, in a circle
    across = -0.9 * width * forth[:, :, None, None] / depth
    across = torch.nn.functional.avg_pool2d(across[..., 1:, 1:], 2, 4)
    flow = torch.stack([across, torch.zeros_like(across)], dim=2)
    images = (255 * images).round().clamp(0, 255).byte()
    return Rendered(images, depth, parts, parts, K.repeat(count, 1, 1), poses, flow)


@pytest.fixture(autouse=True)
def one_thread():
    """As the commands train: threads that wait for each other are slow on small images."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def bank(tmp_path):
    def make(frames=1, render=slanted_planes, samples=256):
        config = BankConfig(samples=samples, frames=frames, height=HEIGHT, width=WIDTH)
        return Bank(tmp_path / f"bank{frames}", config, render)

    return make


def rows_of(folder):
    with (folder / "log.csv").open(newline="") as file:
        return list(csv.DictReader(file))


SHORT = Schedule(steps=30, batch=8, warm_up=5, checkpoint_every=5, average=0.9)


def pose_task(bank):
    """The motion joins early, so that it is trained at all in a short run."""
    return PoseTask(bank, config=PoseLossConfig(matching_first=10))


@pytest.mark.parametrize(
    ("task", "frames", "share"),
    [(DepthTask, 1, 0.9), (SegmentationTask, 1, 0.9), (pose_task, 2, 0.97)],
)
def test_the_loss_falls(task, frames, share, bank, tmp_path):
    first = []
    network = fit(task(bank(frames)), SHORT, tmp_path / "run", lambda p: first.append(p.losses))
    assert first[-1]["loss"] < share * first[0]["loss"]
    assert not network.training
    assert all(torch.isfinite(v).all() for v in network.state_dict().values())
    assert [int(row["step"]) for row in rows_of(tmp_path / "run")] == [5, 10, 15, 20, 25, 30]


def test_a_run_that_was_killed_ends_with_the_same_weights(bank, tmp_path):
    class Killed(Exception):
        pass

    def kill(progress):
        if progress.step == 13:
            raise Killed

    whole = fit(DepthTask(bank()), SHORT, tmp_path / "whole").state_dict()
    with pytest.raises(Killed):
        fit(DepthTask(bank()), SHORT, tmp_path / "cut", kill)
    (tmp_path / "cut" / ".checkpoint.pt.new").write_bytes(b"half a file")
    steps = []
    resumed = fit(DepthTask(bank()), SHORT, tmp_path / "cut", lambda p: steps.append(p.step))
    assert steps[0] == 11
    for name, value in resumed.state_dict().items():
        torch.testing.assert_close(value, whole[name], msg=name, rtol=0, atol=1e-5)
    assert [row["step"] for row in rows_of(tmp_path / "cut")] == ["5", "10", "15", "20", "25", "30"]


def test_a_checkpoint_of_another_network_is_refused(bank, tmp_path):
    one_step = Schedule(steps=1, batch=2)
    fit(DepthTask(bank()), one_step, tmp_path / "run")
    with pytest.raises(ConfigurationError, match="another network"):
        fit(SegmentationTask(bank()), one_step, tmp_path / "run")


def test_the_rate_rises_stays_and_falls():
    schedule = Schedule(steps=1000, rate=1e-3, warm_up=100, fall=0.3)
    rates = [schedule.rate_at(step) for step in (0, 99, 400, 700, 850, 1000)]
    assert rates == pytest.approx([1e-5, 1e-3, 1e-3, 1e-3, 5e-4, 0])


def test_a_bank_grows_and_its_samples_stay(tmp_path):
    config = BankConfig(samples=512, height=HEIGHT, width=WIDTH)
    bank = Bank(tmp_path, config, slanted_planes)
    bank.grow(to=1)
    assert len(bank) == 256
    before = bank[torch.tensor([7, 200])]
    again = Bank(tmp_path, config, slanted_planes)
    again.grow(to=10_000)
    assert len(again) == 512
    after = again[torch.tensor([7, 200])]
    for a, b in zip(before, after):
        assert torch.equal(a, b)
    assert not torch.equal(again[torch.tensor([7])].images, again[torch.tensor([263])].images)
    with pytest.raises(ConfigurationError, match="is a bank of"):
        Bank(tmp_path, BankConfig(samples=512, height=32, width=WIDTH), slanted_planes)


def test_a_shard_that_was_cut_off_is_rendered_again(tmp_path):
    config = BankConfig(samples=512, height=HEIGHT, width=WIDTH)

    def dies(seed, *rest):
        dies.calls += 1
        if dies.calls == 12:
            raise KeyboardInterrupt
        return slanted_planes(seed, *rest)

    dies.calls = 0
    with pytest.raises(KeyboardInterrupt):
        Bank(tmp_path / "cut", config, dies).grow(512)
    cut, whole = (
        Bank(tmp_path / "cut", config, slanted_planes),
        Bank(tmp_path / "whole", config, slanted_planes),
    )
    assert len(cut) == 256
    cut.grow(512)
    whole.grow(512)
    index = torch.arange(0, 512, 37)
    assert torch.equal(cut[index].images, whole[index].images)


def test_augmentation_keeps_range_and_truth_in_place():
    images = slanted_planes(3, 4, 2, HEIGHT, WIDTH, "cpu").images
    out = photometric(images, generator_of(0, 1))
    assert out.shape == images.shape
    assert (out.min() >= 0) and (out.max() <= 1)
    assert (out - images / 255).abs().mean() > 0.01
    ramp = torch.arange(WIDTH).float().expand(2, 1, HEIGHT, WIDTH)
    corner, half = torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.full((2, 2), 0.5)
    window = enlarged(ramp, windows(corner, half), "bilinear")
    assert window[0].max() == pytest.approx(WIDTH / 2, abs=1)
    assert window[1].min() == pytest.approx(WIDTH / 2, abs=1)


def test_depth_loss_sees_shape_and_hardly_scale():
    depth = 0.5 + torch.rand((2, 1, 32, 32), generator=torch.Generator().manual_seed(0))
    inverse = 1 / depth
    logit = torch.logit((inverse - 1 / 150) / (10 - 1 / 150))
    doubt = torch.full_like(depth, -3.0)
    exact = depth_loss(logit, doubt, depth, DepthLossConfig())
    assert exact["data"] < 1e-4
    scaled = depth_loss(logit, doubt, 3 * depth, DepthLossConfig())
    assert scaled["data"] < 1e-4
    assert scaled["scale"] == pytest.approx(1.0986, abs=1e-3)
    assert depth_loss(0 * logit, doubt, depth, DepthLossConfig())["data"] > 0.1


def test_pixels_to_be_ignored_teach_nothing():
    parts = torch.zeros((1, 32, 32), dtype=torch.uint8)
    parts[:, :16] = UNKNOWN
    parts[:, 16:20] = IGNORED
    tool, scores = torch.zeros((1, 1, 32, 32)), torch.zeros((1, 4, 32, 32))
    tool[:, :, :16], tool[:, :, 20:] = 20, -20
    terms = segmentation_loss(tool, scores, parts, SegmentationLossConfig())
    assert terms["entropy"] < 1e-4 and terms["overlap"] < 0.01 and terms["parts"] == 0


def test_truth_of_a_pair_agrees_with_its_depth_and_motion():
    """The camera moves right, so the content of the later image lies further left."""
    sample = slanted_planes(5, 3, 2, HEIGHT, WIDTH, "cpu")
    sample = Sample(**{name: getattr(sample, name) for name in Sample._fields})
    truth = pair_truth(sample, previous=0, current=1)
    step = sample.poses[:, 1, 0, 3]
    typical = sample.depth[:, 0].flatten(1).log().mean(dim=1).exp()
    torch.testing.assert_close(truth.t[:, 0], -step / typical, atol=0, rtol=0.02)
    torch.testing.assert_close(truth.rigid_flow, truth.flow, atol=2e-3, rtol=1e-3)
    assert truth.visible.any() and not (truth.visible & ~truth.tissue).any()
    back = pair_truth(sample, previous=1, current=0)
    torch.testing.assert_close(back.t, -truth.t)
    # a mirror image has the mirrored truth, and its parts still fit each other
    turned = pair_truth(mirrored(sample, rows=True, columns=True), previous=0, current=1)
    torch.testing.assert_close(turned.t[:, 0], -truth.t[:, 0])
    torch.testing.assert_close(turned.flow, -truth.flow.flip(-1, -2))
    torch.testing.assert_close(turned.rigid_flow, turned.flow, atol=2e-3, rtol=1e-3)


def test_places_that_an_instrument_hides_are_not_visible():
    flow = torch.zeros(1, 2, 8, 8)
    flow[:, 0] = 4.0  # one cell to the right
    tissue = torch.ones(1, 8, 8, dtype=torch.bool)
    tissue[:, 2, 5] = False
    seen = seen_again(flow, -flow, tissue)
    assert not seen[0, 2, 4] and seen[0, 2, 3] and seen[0, 3, 4]
    assert not seen[0, :, 7].any()  # left the image
    assert not seen_again(flow, flow, tissue).any()  # does not come back


def test_matches_are_scored_at_the_true_place():
    """Probability 1 at the place itself: no error without motion, much with a motion of 1 cell."""
    probability = (torch.eye(16)[None] + 1e-6).log()
    match = CoarseMatch(probability, torch.zeros(1, 2, 4, 4), torch.zeros(1))
    shown = torch.ones(1, 4, 4, dtype=torch.bool)
    flow = torch.zeros(1, 2, 4, 4)
    assert match_error(match, flow, shown) < 1e-4
    flow[:, 0] = 1.0
    assert match_error(match, flow, shown) > 5


def test_students_keep_the_size_of_the_image():
    logit, log_error = DepthStudent()(torch.rand(1, 3, 64, 96))
    assert logit.shape == log_error.shape == (1, 1, 64, 96)


def test_the_large_network_trains_on_rendered_images_and_leaves_in_parts(tmp_path, monkeypatch):
    """A tiny one on the processor; the plan itself needs a CUDA card."""
    from endosfm3d_ros.networks.depth import DepthNetworkConfig
    from endosfm3d_ros.networks.dinov2 import Dinov2Config

    tiny = DepthNetworkConfig(
        backbone=Dinov2Config(width=24, heads=2),
        neck_channels=(8, 8, 8, 8),
        fusion_channels=8,
        head_channels=8,
    )
    task = LargeDepthTask(
        size=(56, 84), device="cpu", architecture=tiny, render=slanted_planes, coarse=0.3
    )
    seen = []
    schedule = Schedule(steps=60, batch=8, rate=4e-3, warm_up=5, average=0.9)
    network = fit(task, schedule, tmp_path, lambda p: seen.append(p.losses["loss"]))
    assert seen[-1] < 0.9 * seen[0]
    monkeypatch.setattr(card_module, "PART_BYTES", 100_000)
    rendered = {"height": 56, "width": 84}
    card = card_module.ModelCard.of(network, rendered, SHORT, "none", 0.0)
    files = card_module.export(network, tmp_path / "depth_model.safetensors", card)
    assert len(files) > 2 and files[0].name.startswith("depth_model-00001-of-")
    assert all(file.stat().st_size < 150_000 for file in files)
    monkeypatch.setattr(checkpoints, "DepthNetwork", lambda: DepthNetwork(tiny))
    loaded = checkpoints.load_depth_network(tmp_path).state_dict()
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded[name], value, atol=1e-3, rtol=1e-3)
