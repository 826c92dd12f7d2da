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


class Seen(NamedTuple):
    """All that a pair tells before the motion; cells are of 4 x 4 px."""

    coarse: CoarseMatch
    flow: Tensor  # (B, 2, h, w) px, previous image to current
    log_spread: Tensor  # (B, h, w) ln px, of the flow of a rigid scene
    log_inverse_depth: Tensor  # (B, h, w) of the previous image, 0 in the mean
    log_depth_spread: Tensor  # (B, h, w)


class PoseStudent(nn.Module):
    """Pair of images to the motion between their cameras, and to a better focal length.

    The camera is not guessed from what the images look like: networks that did were 20 % off on
    images like those of their training, and 40 % on others.

    Args:
        config: widths of the U-Net.
        size: (height, width) of the images, multiples of 32.
    """

    def __init__(
        self, config: UNetConfig | None = None, size: tuple[int, int] = (128, 160)
    ) -> None:
        super().__init__()
        self.size, self.solver = size, RigidMotionConfig()
        self.unet = UNet(1, config)
        fine, coarse, *_ = self.unet.config.channels
        self.unet.head = nn.Conv2d(fine, 2, 3, padding=1)  # ln inverse depth and its spread
        self.matcher = CoarseMatcher(coarse)
        self.refiner = LocalMatcher(fine, self.matcher.hidden)
        self.log_repeated = nn.Parameter(torch.tensor([3.0]))  # ln of places that share an error

    def forward(self, pair: Tensor, belief: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Axis-angle, translation and q, as `PoseNetwork` gives them.

        Args:
            pair: (B, 6, H, W) RGB in [0, 1], `torch.cat([current, previous], dim=1)`; the motion
                maps points of the previous camera into the current one. The translation is in
                shares of the previous image's typical depth, the geometric mean.
            belief: (B, 5) what is known of the camera: ln fx / W, one sigma of it, cx / W, cy / H,
                and fy / fx in px.
        """
        motion = self.solve(self.observe(pair), belief)
        height, width = self.size
        fx = motion.log_focal.exp() / width
        focal = torch.stack([fx, fx * belief[:, 4] * (width / height)], dim=1)
        q = torch.cat([focal, belief[:, 2:4]], dim=1) - 0.5
        return motion.axisangle, motion.translation, q

    def observe(self, pair: Tensor) -> Seen:
        """Where the places of the previous image are, and how far away."""
        current, previous = pair.chunk(2, dim=1)
        # 1 both images at 1/4 and 1/8, the previous one with its depth
        fine = self.unet.stem(torch.cat([current, previous]))
        coarse = self.unet.stages[0](fine)
        skips = [fine.chunk(2)[1], coarse.chunk(2)[1]]
        for level in self.unet.stages[1:]:
            skips.append(level(skips[-1]))
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
            log_inverse_depth=log_inverse,
            log_depth_spread=between(depth[:, 1], *DEPTH_SPREADS),
        )

    def solve(self, seen: Seen, belief: Tensor) -> Solution:
        """Motion and focal length of what was seen, in float32; `belief` as in `forward`."""
        height, width = self.size
        size = belief.new_tensor([width, height])
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
            log_focal=belief[:, 0] + size[0].log(),
            log_focal_sigma=belief[:, 1],
            centre=belief[:, 2:4] * size * square[:, 0],
        )
        return solve_rigid_motion(field, lens, self.log_repeated.exp(), self.solver)


def between(x: Tensor, low: float, high: float) -> Tensor:
    """Nearly x inside, and never outside; gradients lead back from either end."""
    half = (high - low) / 2
    return low + half + half * torch.tanh((x - low - half) / half)


def cell_places(height: int, width: int) -> Tensor:
    """(h w, 2) (x, y) px of the middle of every cell, row by row."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return BLOCK * torch.stack([x.flatten(), y.flatten()], dim=1).float() + MIDDLE
