"""A small network for camera motion and intrinsics with the outputs of the published one.

It says where every place of one image is in the other, how far away it is and how much of this
to believe; the motion and the focal length are not regressed but follow from that by least
squares (`rigid_motion`). Matching and relative depth are all that images must teach.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from endosfm3d_ros.networks.flow_matching import CoarseMatch, CoarseMatcher, LocalMatcher
from endosfm3d_ros.networks.residual import BLOCK
from endosfm3d_ros.networks.rigid_motion import (
    Field,
    Lens,
    RigidMotionConfig,
    Solution,
    solve_rigid_motion,
)
from endosfm3d_ros.networks.unet import UNet, UNetConfig

MIDDLE = (BLOCK - 1) / 2  # px; of a cell, from its first pixel
SPREADS = (-3.0, 4.0)  # ln px that a spread may be
DEPTH_SPREADS = (-4.0, 0.5)  # ln of sigma of ln depth
LENS_SPREADS = (-3.0, -0.5)  # ln of sigma of ln focal length


class Seen(NamedTuple):
    """All that a pair tells before the motion; cells are of 4 x 4 px."""

    coarse: CoarseMatch
    flow: Tensor  # (B, 2, h, w) px, previous image to current
    log_spread: Tensor  # (B, h, w) ln px, of the flow of a rigid scene
    log_inverse_depth: Tensor  # (B, h, w) of the previous image, 1 / shares of its median depth
    log_depth_spread: Tensor  # (B, h, w)
    lens: Tensor  # (B, 4) guess: ln f / W, ln of its sigma, cx / W, cy / H


class PoseStudent(nn.Module):
    """Pair of images to the motion between their cameras, and to the camera.

    Args:
        config: widths of the U-Net.
        size: (height, width) of the images, multiples of 32; the lens belongs to it.
    """

    def __init__(
        self, config: UNetConfig | None = None, size: tuple[int, int] = (128, 160)
    ) -> None:
        super().__init__()
        self.size, self.solver = size, RigidMotionConfig()
        self.unet = UNet(1, config)
        fine, coarse, *_, deepest = self.unet.config.channels
        self.unet.head = nn.Conv2d(fine, 2, 3, padding=1)  # ln inverse depth and its spread
        self.matcher = CoarseMatcher(coarse)
        self.refiner = LocalMatcher(fine, self.matcher.hidden)
        cells = size[0] // 32 * (size[1] // 32)
        self.lens = nn.Sequential(
            nn.Linear(cells * deepest, 64), nn.ReLU(inplace=True), nn.Linear(64, 5)
        )
        nn.init.zeros_(self.lens[-1].weight)
        nn.init.zeros_(self.lens[-1].bias)
        self.log_repeated = nn.Parameter(torch.tensor([3.0]))  # ln of places that share an error

    def forward(self, pair: Tensor, belief: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Axis-angle, translation and q, as `PoseNetwork` gives them.

        Args:
            pair: (B, 6, H, W) RGB in [0, 1], `torch.cat([current, previous], dim=1)`; the motion
                maps points of the previous camera into the current one. The translation is in
                shares of the previous image's median depth.
            belief: (B, 5) what is known of the camera: ln fx / W, one sigma of it, cx / W, cy / H,
                and fy / fx in px; a large sigma leaves all but the last to the network.
        """
        seen = self.observe(pair)
        motion = self.solve(seen, belief)
        height, width = self.size
        fx, aspect = motion.log_focal.exp() / width, belief[:, 4]
        focal = torch.stack([fx, fx * aspect * (width / height)], dim=1)
        centre = joined(seen.lens, belief)[:, 2:]
        return motion.axisangle, motion.translation, torch.cat([focal, centre], dim=1) - 0.5

    def observe(self, pair: Tensor) -> Seen:
        """Where the places of the previous image are, and how far away."""
        current, previous = pair.chunk(2, dim=1)
        # 1 both images at 1/4 and 1/8, the previous one with its depth and its camera
        fine = self.unet.stem(torch.cat([current, previous]))
        coarse = self.unet.stages[0](fine)
        skips = [fine.chunk(2)[1], coarse.chunk(2)[1]]
        for level in self.unet.stages[1:]:
            skips.append(level(skips[-1]))
        lens = self.lens(skips[-1].flatten(1)).float()
        context = self.unet.merged(skips)
        depth = self.unet.head(context).float()
        # 2 the displacement of every place, roughly over the whole image, then closely
        match = self.matcher(*coarse.chunk(2))
        flow, log_spread = self.refiner(*fine.chunk(2), context, match)
        # 3 in the units of the solver
        log_inverse = depth[:, 0] - depth[:, 0].mean(dim=(1, 2), keepdim=True)
        return Seen(
            coarse=match,
            flow=BLOCK * flow,
            log_spread=between(log_spread, *SPREADS),
            log_inverse_depth=log_inverse + lens[:, 4, None, None],
            log_depth_spread=between(depth[:, 1], *DEPTH_SPREADS),
            lens=torch.cat(
                [lens[:, :1], (lens[:, 1:2] - 1).clamp(*LENS_SPREADS), lens[:, 2:4] + 0.5], dim=1
            ),
        )

    def solve(self, seen: Seen, belief: Tensor) -> Solution:
        """Motion and focal length of what was seen, in float32; `belief` as in `forward`."""
        height, width = self.size
        size = seen.lens.new_tensor([width, height])
        camera = joined(seen.lens, belief)
        # rows as far apart as columns: the equations know square pixels only
        square = torch.stack([torch.ones_like(belief[:, 4]), 1 / belief[:, 4]], dim=1)[:, None]
        field = Field(
            places=cell_places(*seen.flow.shape[-2:]).to(seen.flow) * square,
            flow=seen.flow.flatten(2).transpose(1, 2) * square,
            spread=seen.log_spread.exp().flatten(1),
            log_inverse_depth=seen.log_inverse_depth.flatten(1),
            depth_spread=seen.log_depth_spread.exp().flatten(1),
        )
        lens = Lens(
            log_focal=camera[:, 0] + size[0].log(),
            log_focal_sigma=camera[:, 1],
            centre=camera[:, 2:] * size * square[:, 0],
        )
        return solve_rigid_motion(field, lens, self.log_repeated.exp(), self.solver)


def joined(guess: Tensor, belief: Tensor) -> Tensor:
    """(B, 4) ln f / W, its sigma, cx / W, cy / H of two sources, by what they know of f.

    Args:
        guess: (B, 4) with ln of the sigma.
        belief: (B, 5), the last entry is not looked at.
    """
    information = torch.stack([(-2 * guess[:, 1]).exp(), belief[:, 1] ** -2], dim=1)
    total = information.sum(dim=1, keepdim=True)
    share = information[:, 1:] / total
    mean = guess + share * (belief[:, :4] - guess)
    return torch.cat([mean[:, :1], total**-0.5, mean[:, 2:]], dim=1)


def between(x: Tensor, low: float, high: float) -> Tensor:
    """Nearly x inside, and never outside; gradients lead back from either end."""
    half = (high - low) / 2
    return low + half + half * torch.tanh((x - low - half) / half)


def cell_places(height: int, width: int) -> Tensor:
    """(h w, 2) (x, y) px of the middle of every cell, row by row."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return BLOCK * torch.stack([x.flatten(), y.flatten()], dim=1).float() + MIDDLE
