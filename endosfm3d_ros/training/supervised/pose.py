"""Camera motion and intrinsics from two consecutive simulated images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endosfm3d_ros.networks.camera_motion import rotation_matrix
from endosfm3d_ros.networks.pose_student import CELL, MotionAndFlow, PoseStudent
from endosfm3d_ros.training.supervised.bank import Bank, Sample
from endosfm3d_ros.training.supervised.loop import Schedule, Task, generator_of
from endosfm3d_ros.training.supervised.photometry import photometric
from endosfm3d_ros.training.supervised.windows import coins, flipped


@dataclass(frozen=True)
class PoseLossConfig:
    """Weights; motions are small, so their errors are brought to the size of the others."""

    rotation: float = 40.0  # per rad
    translation: float = 20.0  # per share of the depth
    direction: float = 0.2  # 1 - cosine, where the camera moves
    focal: float = 1.0  # per ln
    centre: float = 2.0  # per share of the side
    flow: float = 0.3  # per cell
    still: float = 0.01  # share of the depth below which a direction is not scored


class PairTruth(NamedTuple):
    """What the network should answer; `current` is its first image."""

    pair: Tensor  # (B, 6, H, W) in [0, 1]
    R: Tensor  # (B, 3, 3) previous to current
    t: Tensor  # (B, 3) shares of the previous image's median depth
    focal: Tensor  # (B, 2) shares of width and height
    centre: Tensor  # (B, 2) shares of width and height
    flow: Tensor  # (B, 2, h, w) cells, previous to current
    rigid: Tensor  # (B, h, w) bool, where that flow is known


@dataclass(frozen=True)
class PoseTask(Task):
    """A pose network on a bank of pairs."""

    bank: Bank
    config: PoseLossConfig = PoseLossConfig()
    name = "pose"

    def network(self) -> nn.Module:
        return PoseStudent(size=(self.bank.config.height, self.bank.config.width))

    def loss(self, network: nn.Module, batch: PairTruth) -> dict[str, Tensor]:
        return pose_loss(network.observe(batch.pair), batch, self.config)

    def batch(self, step: int, schedule: Schedule) -> PairTruth:
        """Pairs in either order of time, some of them mirrored."""
        random = generator_of(schedule.seed, step)
        sample = self.bank.draw(schedule.batch, step / schedule.steps, random)
        backwards, *mirror = coins(3, random)
        previous, current = (1, 0) if backwards else (0, 1)
        images = photometric(sample.images, random)
        pair = torch.cat([images[:, current], images[:, previous]], dim=1)
        truth = pair_truth(sample, pair, previous, current)
        return mirrored(truth, *mirror)


def pair_truth(sample: Sample, pair: Tensor, previous: int, current: int) -> PairTruth:
    """The truth of two frames of a sample."""
    height, width = pair.shape[-2:]
    # 1 motion of points from the previous camera to the current one
    T = torch.linalg.inv(sample.poses[:, current].double()) @ sample.poses[:, previous].double()
    T = T.float()
    depth = sample.depth[:, previous]
    typical = depth.flatten(1).median(dim=1).values[:, None]
    # 2 the camera; pixel centres lie at integer coordinates
    K = sample.intrinsics
    size = K.new_tensor([width, height])
    focal = torch.stack([K[:, 0, 0], K[:, 1, 1]], dim=1) / size
    centre = K[:, :2, 2] / size
    # 3 where the centre of every cell goes
    flow, seen = cell_flow(depth, K, T)
    tissue = sample.parts[:, previous, CELL // 2 :: CELL, CELL // 2 :: CELL] == 0
    t = T[:, :3, 3] / typical
    return PairTruth(pair, T[:, :3, :3], t, focal, centre, flow, tissue & seen)


def cell_flow(depth: Tensor, K: Tensor, T: Tensor) -> tuple[Tensor, Tensor]:
    """Displacement of the middle of every cell, in cells, and whether it stays in the image.

    Args:
        depth: (B, H, W) m of the image that cells are counted in.
        K: (B, 3, 3) px.
        T: (B, 4, 4) motion of points into the other camera, m.

    Returns:
        (B, 2, H / 8, W / 8) (x, y), and (B, H / 8, W / 8) bool.
    """
    height, width = depth.shape[-2:]
    half = CELL // 2
    y, x = torch.meshgrid(
        torch.arange(half, height, CELL), torch.arange(half, width, CELL), indexing="ij"
    )
    pixels = torch.stack([x, y, torch.ones_like(x)]).flatten(1).to(depth)  # (3, n)
    z = depth[:, half::CELL, half::CELL].flatten(1)[:, None]  # (B, 1, n)
    points = torch.linalg.inv(K) @ pixels * z
    moved = K @ (T[:, :3, :3] @ points + T[:, :3, 3:])
    seen = moved[:, :2] / moved[:, 2:].clamp_min(1e-6)
    limit = seen.new_tensor([width - 1, height - 1])[:, None]
    inside = ((seen >= 0) & (seen <= limit)).all(dim=1) & (moved[:, 2] > 0)
    flow = (seen - pixels[:2]) / CELL
    return flow.unflatten(2, x.shape), inside.unflatten(1, x.shape)


def mirrored(truth: PairTruth, rows: bool, columns: bool) -> PairTruth:
    """The same pair as a mirror shows it: up-down, left-right, both or not."""
    signs = truth.t.new_tensor([-1.0 if columns else 1.0, -1.0 if rows else 1.0, 1.0])
    sides = torch.tensor([columns, rows])
    height, width = truth.pair.shape[-2:]
    last = truth.centre.new_tensor([(width - 1) / width, (height - 1) / height])
    return PairTruth(
        pair=flipped(truth.pair, rows, columns),
        R=signs[:, None] * truth.R * signs,  # S R S with S = diag(signs)
        t=signs * truth.t,
        focal=truth.focal,
        centre=torch.where(sides, last - truth.centre, truth.centre),
        flow=flipped(truth.flow, rows, columns) * signs[:2, None, None],
        rigid=flipped(truth.rigid, rows, columns),
    )


def pose_loss(seen: MotionAndFlow, truth: PairTruth, config: PoseLossConfig) -> dict[str, Tensor]:
    """Terms of the loss; absolute errors throughout, because some motions are large."""
    R = rotation_matrix(seen.axisangle.float())
    translation = seen.translation.float()
    shares = seen.q.float() + 0.5
    moves = truth.t.norm(dim=1) > config.still
    cosine = F.cosine_similarity(translation, truth.t, dim=1)
    distance = (seen.flow.float() - truth.flow).abs().sum(dim=1)
    terms = {
        "rotation": config.rotation * (R - truth.R).abs().mean(),
        "translation": config.translation * (translation - truth.t).abs().mean(),
        "direction": config.direction * ((1 - cosine) * moves).mean(),
        "focal": config.focal
        * (shares[:, :2].clamp_min(0.05).log() - truth.focal.log()).abs().mean(),
        "centre": config.centre * (shares[:, 2:] - truth.centre).abs().mean(),
        "flow": config.flow * (distance * truth.rigid).sum() / truth.rigid.sum().clamp_min(1),
    }
    return terms | {"loss": torch.stack(list(terms.values())).sum()}
