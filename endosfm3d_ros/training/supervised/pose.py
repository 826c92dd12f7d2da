"""Camera motion and intrinsics from two consecutive simulated images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endosfm3d_ros.networks.camera_motion import rotation_matrix
from endosfm3d_ros.networks.flow_matching import CoarseMatch, grid_places
from endosfm3d_ros.networks.pose_student import PoseStudent, Seen
from endosfm3d_ros.networks.residual import BLOCK
from endosfm3d_ros.networks.rigid_motion import Solution
from endosfm3d_ros.training.supervised.bank import Bank
from endosfm3d_ros.training.supervised.loop import Schedule, Task, generator_of
from endosfm3d_ros.training.supervised.pairs import PairTruth, mirrored, pair_truth
from endosfm3d_ros.training.supervised.photometry import photometric
from endosfm3d_ros.training.supervised.windows import coins


@dataclass(frozen=True)
class PoseLossConfig:
    """Weights that bring the terms to the size of each other, and when the motion joins."""

    match: float = 0.3
    flow: float = 1.0
    hidden: float = 0.2  # share of that for places that the current image does not show
    flow_unit: float = 0.3  # px; errors beyond count by their logarithm
    spread: float = 0.2
    depth: float = 1.0
    rotation: float = 40.0  # per rad
    translation: float = 20.0  # per share of the depth
    direction: float = 0.5  # 1 - cosine, where the camera moves
    focal: float = 1.0  # per ln
    still: float = 0.01  # share of the depth below which a direction is not scored
    rigid: float = 1.0  # px that tissue may move on its own where the motion is scored in full
    told: float = 0.5  # share of samples whose camera is nearly known
    told_sigma: float = 0.05  # how well: of ln f
    start_sigma: float = 0.25  # of ln f, where nothing is known but that it is an endoscope
    centre_sigma: float = 0.03  # by the side
    matching_first: int = 300  # steps without the motion: equations of random matches teach nothing


class PoseBatch(NamedTuple):
    """What a step sees."""

    pair: Tensor  # (B, 6, H, W) in [0, 1], the current image first
    belief: Tensor  # (B, 5) of the camera, see `PoseStudent.forward`
    truth: PairTruth
    solves: bool  # whether the motion is scored


@dataclass(frozen=True)
class PoseTask(Task):
    """A pose network on a bank of pairs.

    Args:
        bank: of two frames a sample.
        start: tensors of a depth student, to begin from.
        config: weights of the loss.
    """

    bank: Bank
    start: dict[str, Tensor] | None = None
    config: PoseLossConfig = PoseLossConfig()
    name = "pose"

    def network(self) -> nn.Module:
        network = PoseStudent(size=(self.bank.config.height, self.bank.config.width))
        if self.start is not None:
            tensors = {name: value.float() for name, value in self.start.items()}
            for name in ("unet.head.weight", "unet.head.bias"):  # one answer for each cell
                tensors[name] = tensors[name].unflatten(0, (2, BLOCK**2)).mean(dim=1)
            network.load_state_dict(tensors, strict=False)
        return network

    def loss(self, network: nn.Module, batch: PoseBatch) -> dict[str, Tensor]:
        seen = network.observe(batch.pair)
        terms = seen_loss(seen, batch.truth, self.config)
        with torch.autocast(batch.pair.device.type, enabled=False):
            motion = motion_loss(network.solve(seen, batch.belief), batch, self.config)
        if not batch.solves:
            motion = {name: value.detach() for name, value in motion.items()}
        terms |= motion
        return terms | {"loss": torch.stack(list(terms.values())).sum()}

    def batch(self, step: int, schedule: Schedule) -> PoseBatch:
        """Pairs in either order of time, some of them mirrored."""
        random = generator_of(schedule.seed, step)
        sample = self.bank.draw(schedule.batch, step / schedule.steps, random)
        backwards, *mirror = coins(3, random)
        previous, current = (1, 0) if backwards else (0, 1)
        sample = mirrored(sample, *mirror)
        images = photometric(sample.images, random)
        pair = torch.cat([images[:, current], images[:, previous]], dim=1)
        truth = pair_truth(sample, previous, current)
        belief = self.belief(truth.lens, random)
        return PoseBatch(pair, belief, truth, step >= self.config.matching_first)

    def belief(self, lens: Tensor, random: torch.Generator) -> Tensor:
        """(B, 5) what somebody could know of the cameras, from (B, 4) true ones."""
        c = self.config
        known = torch.rand((len(lens), 1), generator=random) < c.told
        sigma = torch.where(known, c.told_sigma, c.start_sigma)
        off = torch.randn((len(lens), 3), generator=random)
        focal = lens[:, :1] + sigma * off[:, :1]
        return torch.cat([focal, sigma, lens[:, 1:3] + c.centre_sigma * off[:, 1:], lens[:, 3:]], 1)


def seen_loss(seen: Seen, truth: PairTruth, config: PoseLossConfig) -> dict[str, Tensor]:
    """Terms for matches, flow and relative depth."""
    coarse_flow = F.avg_pool2d(truth.flow, 2)
    shown = F.avg_pool2d(truth.visible[:, None].float(), 2)[:, 0] > 0.9
    certain = torch.where(shown, 1.0, config.hidden), torch.where(truth.visible, 1.0, config.hidden)
    coarse = flow_error(2 * BLOCK * seen.coarse.flow, coarse_flow, certain[0], config)
    fine = flow_error(seen.flow, truth.flow, certain[1], config)
    off = (seen.flow.detach() - truth.rigid_flow).norm(dim=1)
    spread = off * (-seen.log_spread).exp() + 2 * seen.log_spread  # Laplace, in two dimensions
    depth = expected(seen.log_inverse_depth - truth.log_inverse_depth, seen.log_depth_spread)
    return {
        "match": config.match * match_error(seen.coarse, coarse_flow / (2 * BLOCK), shown),
        "flow": config.flow * (fine + 0.3 * coarse),
        "spread": config.spread * spread.mean(),
        "depth": config.depth * mean_where(depth, truth.tissue),
    }


def motion_loss(motion: Solution, batch: PoseBatch, config: PoseLossConfig) -> dict[str, Tensor]:
    """Terms for the motion; absolute errors, because some motions are large."""
    truth, width = batch.truth, batch.pair.shape[-1]
    bent = (truth.flow - truth.rigid_flow).norm(dim=1)
    bent = (bent * truth.visible).flatten(1).mean(dim=1)
    weight = 1 / (1 + (bent / config.rigid) ** 2)
    turn = (rotation_matrix(motion.axisangle) - truth.R).abs().mean(dim=(1, 2))
    slide = (motion.translation - truth.t).abs().mean(dim=1)
    moves = weight * (truth.t.norm(dim=1) > config.still)
    away = 1 - F.cosine_similarity(motion.translation, truth.t, dim=1, eps=1e-4)
    focal = (motion.log_focal - truth.lens[:, 0] - torch.tensor(float(width)).log()).abs()
    return {
        "rotation": config.rotation * (weight * turn).mean(),
        "translation": config.translation * (weight * slide).mean(),
        "direction": config.direction * (moves * away).mean(),
        "focal": config.focal * (weight * focal).mean(),
    }


def match_error(match: CoarseMatch, flow: Tensor, shown: Tensor) -> Tensor:
    """Cross-entropy of the match with the four cells around the true place; flow in cells."""
    height, width = flow.shape[-2:]
    there = grid_places(height, width).to(flow) + flow.flatten(2).transpose(1, 2)  # (B, hw, 2)
    corner = there.floor()
    inside = ((corner >= 0) & (corner < there.new_tensor([width - 1, height - 1]))).all(dim=2)
    right, down = (there - corner).unbind(dim=2)
    first = (corner[..., 1] * width + corner[..., 0]).long() * inside
    total = torch.zeros_like(right)
    for offset, share in (
        (0, (1 - right) * (1 - down)),
        (1, right * (1 - down)),
        (width, (1 - right) * down),
        (width + 1, right * down),
    ):
        at = torch.gather(match.log_probability, 2, (first + offset)[..., None])
        total = total - share * at[..., 0]
    return mean_where(total, inside & shown.flatten(1))


def flow_error(flow: Tensor, truth: Tensor, weight: Tensor, config: PoseLossConfig) -> Tensor:
    """ln (1 + error), which leaves far misses to the matching."""
    error = ((flow - truth).abs().sum(dim=1) / config.flow_unit).log1p()
    return (weight * error).sum() / weight.sum()


def expected(error: Tensor, log_spread: Tensor) -> Tensor:
    """Negative log likelihood of errors under a Laplace distribution."""
    return error.abs() * (-log_spread).exp() + log_spread


def mean_where(x: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the chosen elements; 0 without any."""
    return (x * chosen).sum() / chosen.sum().clamp_min(1)
