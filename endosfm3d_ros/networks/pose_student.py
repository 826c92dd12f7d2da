"""A small network for camera motion and intrinsics with the outputs of the published one.

It matches the two images explicitly: features of every cell of one are compared with those of
every cell of the other, the expected displacement is a flow field, and motion and camera are read
from that field. Matching need not be learnt from motions, so few images teach it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from endosfm3d_ros.networks.residual import ResidualBlock, Stem, conv_relu, stage

CELL = 8  # px of the image per cell of the flow field
MOTION_SCALE = 0.05  # rad and shares of the depth: what an output of 1 stands for


@dataclass(frozen=True)
class PoseStudentConfig:
    """Widths; 2.5 M parameters."""

    channels: tuple[int, int] = (48, 96)  # at 1/4, 1/8
    matched: int = 64  # channels that are compared
    context: int = 32  # channels of the image itself that go with the flow
    trunk: tuple[int, int] = (128, 192)  # at 1/16, 1/32


class MotionAndFlow(NamedTuple):
    """All that a pair tells; the last two are for training."""

    axisangle: Tensor  # (B, 3) rad
    translation: Tensor  # (B, 3) shares of the median depth of the second image
    q: Tensor  # (B, 4), see `networks.camera_motion`
    flow: Tensor  # (B, 2, h, w) (x, y) cells from the second image to the first
    sharpness: Tensor  # (B, 1, h, w) largest matching probability


class PoseStudent(nn.Module):
    """Pair of images to the motion between their cameras, and to the camera.

    Args:
        config: widths.
        size: (height, width) of the images, multiples of 32; the last layers belong to it.
    """

    def __init__(
        self, config: PoseStudentConfig | None = None, size: tuple[int, int] = (128, 160)
    ) -> None:
        super().__init__()
        self.config = config or PoseStudentConfig()
        (first, second), trunk = self.config.channels, self.config.trunk
        self.encoder = nn.Sequential(Stem(first), stage(first, second))
        self.match = nn.Conv2d(second, self.config.matched, 1)
        self.context = nn.Conv2d(second, self.config.context, 1)
        self.temperature = nn.Parameter(torch.tensor([2.0]))  # ln of the factor on cosines
        self.field = nn.Sequential(
            conv_relu(3 + self.config.context, trunk[0]), ResidualBlock(trunk[0])
        )
        self.trunk = nn.Sequential(stage(trunk[0], trunk[0]), stage(trunk[0], trunk[1]))
        coarse = size[0] // 32 * (size[1] // 32)
        self.joint = nn.Sequential(nn.Linear(coarse * trunk[1], 192), nn.ReLU(inplace=True))
        self.motion, self.camera = nn.Linear(192, 6), nn.Linear(192, 4)
        nn.init.zeros_(self.camera.weight)

    def forward(self, pair: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 6, H, W) RGB in [0, 1] to axis-angle, translation and q, as `PoseNetwork` does.

        `pair = torch.cat([current, previous], dim=1)`; the motion maps points of the previous
        camera into the current one. The translation is in shares of the previous image's median
        depth.
        """
        return self.observe(pair)[:3]

    def observe(self, pair: Tensor) -> MotionAndFlow:
        """The same with the flow field that it was read from; sides are multiples of 32."""
        # 1 what either image shows, cell by cell
        features = self.encoder(torch.cat(pair.chunk(2, dim=1)))
        current, previous = nn.functional.normalize(self.match(features), dim=1).chunk(2)
        # 2 where each cell of the previous image is in the current one
        flow, sharpness = self.matched(current, previous)
        # 3 motion and camera from the field of displacements
        context = self.context(features).chunk(2)[1]
        x = self.trunk(self.field(torch.cat([flow, sharpness, context], dim=1)))
        joint = self.joint(x.flatten(1))
        motion = MOTION_SCALE * self.motion(joint)
        return MotionAndFlow(motion[:, :3], motion[:, 3:], self.camera(joint), flow, sharpness)

    def matched(self, current: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        """Expected displacement and largest probability per cell of the previous image.

        Args:
            current: (B, C, h, w) features of length 1.
            previous: the same.
        """
        height, width = previous.shape[-2:]
        cosine = previous.flatten(2).transpose(1, 2) @ current.flatten(2)
        probability = torch.softmax(self.temperature.exp() * cosine.float(), dim=2)  # (B, hw, hw)
        places = cell_places(height, width).to(probability)  # (hw, 2)
        flow = (probability @ places - places).transpose(1, 2).unflatten(2, (height, width))
        return flow, probability.amax(dim=2)[:, None].unflatten(2, (height, width))


def cell_places(height: int, width: int) -> Tensor:
    """(h w, 2) (x, y) index of every cell, row by row."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1).float()
