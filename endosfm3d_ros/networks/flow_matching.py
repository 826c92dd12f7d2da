"""Where the places of one image are in another: global matching, then a local look.

The first compares every cell with every other one (as GMFlow does, Xu et al. 2022), the second
looks at the similarities around the place found there (as RAFT does, Teed and Deng 2020).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endosfm3d_ros.networks.residual import ResidualBlock, conv_relu

MATCHED = 64  # channels that are compared over the whole image
COMPARED = 32  # channels that are compared nearby
WINDOW = 2.5  # cells round the best match that the expected place is taken over
RADIUS = 3  # cells that the local look reaches
CONTEXT = 32  # channels of the image itself that go with the flow
HIDDEN = 48
LOOKS = 2
CELLS = 8  # a large flow: brings it to the size of the other inputs


class CoarseMatch(NamedTuple):
    """The result of global matching; cells are of 8 x 8 px."""

    log_probability: Tensor  # (B, h w, h w) of each cell of the previous image, over the current
    flow: Tensor  # (B, 2, h, w) (x, y) cells, smoothed
    hidden: Tensor  # (B, 48, h, w) what else is known of each cell


class CoarseMatcher(nn.Module):
    """Features of both images to a displacement of every cell of the previous one."""

    hidden = HIDDEN

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.match = nn.Conv2d(channels, MATCHED, 1)
        self.context = nn.Conv2d(channels, CONTEXT, 1)
        self.temperature = nn.Parameter(torch.tensor([2.5]))  # ln of the factor on cosines
        self.smooth = nn.Sequential(
            conv_relu(4 + CONTEXT, HIDDEN), ResidualBlock(HIDDEN), ResidualBlock(HIDDEN)
        )
        self.correction = nn.Conv2d(HIDDEN, 2, 3, padding=1)
        nn.init.zeros_(self.correction.weight)
        nn.init.zeros_(self.correction.bias)

    def forward(self, current: Tensor, previous: Tensor) -> CoarseMatch:
        """(B, C, h, w) features of either image."""
        height, width = previous.shape[-2:]
        # 1 how alike all cells are
        a, b = (F.normalize(self.match(x).float(), dim=1).flatten(2) for x in (previous, current))
        logit = alike(self.temperature.exp() * a, b)
        forward, backward = torch.log_softmax(logit, dim=2), torch.log_softmax(logit, dim=1)
        # 2 the expected place near the best one: far rivals must not blur it
        places = grid_places(height, width).to(logit)
        apart = (places[:, None] - places).norm(dim=2)
        best = forward.argmax(dim=2)
        near = (apart < WINDOW).to(logit)[best]  # (B, hw, hw)
        weight = forward.exp() * near
        total = weight.sum(dim=2)
        x, y = ((weight * p).sum(dim=2) / total - p for p in places.unbind(1))
        # 3 how sharp and how mutual the match is; neighbours correct each other
        mutual = (forward + backward).amax(dim=2).exp()
        measured = torch.stack([x, y, total, mutual], dim=1).unflatten(2, (height, width))
        hidden = self.smooth(torch.cat([measured, self.context(previous)], dim=1))
        return CoarseMatch(forward, measured[:, :2] + self.correction(hidden).float(), hidden)


class LocalMatcher(nn.Module):
    """Displacements at twice the resolution of a coarse match, and what to believe of each.

    It looks twice: the second time around the place that was found the first time.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.match = nn.Conv2d(channels, COMPARED, 1)
        self.looks = nn.ModuleList(LocalLook(channels + hidden) for _ in range(LOOKS))

    def forward(
        self, current: Tensor, previous: Tensor, context: Tensor, coarse: CoarseMatch
    ) -> tuple[Tensor, Tensor]:
        """(B, C, h, w) features and context to (B, 2, h, w) cells and (B, h, w) ln px."""
        size = {"scale_factor": 2.0, "mode": "bilinear", "align_corners": False}
        flow = 2 * F.interpolate(coarse.flow, **size)
        known = torch.cat([context, F.interpolate(coarse.hidden, **size)], dim=1)
        a, b = (self.match(x).float().flatten(2) for x in (previous, current))
        volume = alike(a / COMPARED**0.5, b)
        for look in self.looks:
            around = similarities(volume, flow.detach())
            step, log_spread = look(around, flow, known)
            flow = flow + step
        return flow, log_spread


class LocalLook(nn.Module):
    """What is alike around a place, to the rest of the displacement."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.join = conv_relu((2 * RADIUS + 1) ** 2 + 2 + channels, HIDDEN)
        self.block = ResidualBlock(HIDDEN)
        self.answer = nn.Conv2d(HIDDEN, 3, 3, padding=1)
        nn.init.zeros_(self.answer.weight)
        nn.init.zeros_(self.answer.bias)

    def forward(self, around: Tensor, flow: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 2, h, w) cells to be added to the flow, and (B, h, w) ln px."""
        told = torch.cat([around, flow / CELLS, known], dim=1)
        answer = self.answer(self.block(self.join(told))).float()
        return answer[:, :2], answer[:, 2]


def similarities(volume: Tensor, flow: Tensor) -> Tensor:
    """(B, 49, h, w) of each place and those around where it went.

    Args:
        volume: (B, h w, h w) of each place of the previous image and all of the current one.
        flow: (B, 2, h, w) cells.
    """
    batch, _, height, width = flow.shape
    places = grid_places(height, width).to(flow) + flow.flatten(2).transpose(1, 2)
    around = grid_places(2 * RADIUS + 1, 2 * RADIUS + 1).to(flow) - RADIUS
    looks = places[:, :, None] + around  # (B, hw, 49, 2)
    looks = 2 * looks / looks.new_tensor([width - 1, height - 1]) - 1
    sampled = F.grid_sample(
        volume.reshape(-1, 1, height, width), looks.flatten(0, 1)[:, None], align_corners=True
    )
    return sampled.view(batch, height * width, -1).transpose(1, 2).unflatten(2, (height, width))


def alike(a: Tensor, b: Tensor) -> Tensor:
    """(B, C, n) and (B, C, m) features to their (B, n, m) dot products, in float32 throughout."""
    with torch.autocast(a.device.type, enabled=False):
        return a.transpose(1, 2) @ b


def grid_places(height: int, width: int) -> Tensor:
    """(h w, 2) (x, y) index of every cell, row by row."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1).float()
