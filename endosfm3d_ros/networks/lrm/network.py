"""The whole network: image to triplane."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from endosfm3d_ros.networks.lrm.config import LrmConfig
from endosfm3d_ros.networks.lrm.encoder import RegisterDinov2
from endosfm3d_ros.networks.lrm.radiance import Radiance
from endosfm3d_ros.networks.lrm.transformer import NORM_EPS, TriplaneBlock

CAMERA_NUMBERS = 16  # 3x4 camera-to-world row by row, then fx fy cx cy over the image side
SOURCE_CAMERA = (
    *(1.0, 0.0, 0.0, 0.0),
    *(0.0, 0.0, -1.0, -2.0),
    *(0.0, 1.0, 0.0, 0.0),
    *(0.75, 0.75, 0.5, 0.5),
)  # at (0, -2, 0), looks along +y, z up; Blender's axes


class LrmNetwork(nn.Module):
    """Image of an object on white to (B, 3, C, R, R) planes, seen by the source camera."""

    def __init__(self, config: LrmConfig) -> None:
        super().__init__()
        self.config = config
        width, low = config.transformer_dim, config.triplane_low_res
        self.encoder = RegisterDinov2(config.encoder)
        self.camera_embedder = nn.Sequential(
            nn.Linear(CAMERA_NUMBERS, config.camera_embed_dim),
            nn.SiLU(),
            nn.Linear(config.camera_embed_dim, config.camera_embed_dim),
        )
        self.queries = nn.Parameter(torch.zeros(1, 3 * low * low, width))
        self.blocks = nn.ModuleList(
            TriplaneBlock(
                width, config.encoder.width, config.camera_embed_dim, config.transformer_heads
            )
            for _ in range(config.transformer_layers)
        )
        self.norm = nn.LayerNorm(width, eps=NORM_EPS)
        self.upsampler = nn.ConvTranspose2d(width, config.triplane_dim, kernel_size=2, stride=2)
        self.radiance = Radiance(config.triplane_dim)

    def forward(self, image: Tensor) -> Tensor:
        """(B, 3, S, S) RGB in [0, 1] to (B, 3, C, R, R) planes."""
        image_tokens = self.encoder(image)
        return self.planes(self.triplane_tokens(image_tokens, self.source_embedding()))

    def source_embedding(self) -> Tensor | None:
        """(1, K) of the source camera; None once it is folded in."""
        if self.camera_embedder is None:
            return None
        camera = torch.tensor([SOURCE_CAMERA], device=self.queries.device)
        return self.camera_embedder(camera)

    def triplane_tokens(self, image_tokens: Tensor, camera: Tensor | None) -> Tensor:
        """(B, M, E) image tokens and (1, K) camera to (B, 3 r r, C) tokens."""
        tokens = self.queries.expand(image_tokens.shape[0], -1, -1)
        for block in self.blocks:
            tokens = block(tokens, image_tokens, camera)
        return self.norm(tokens)

    def planes(self, tokens: Tensor) -> Tensor:
        """(B, 3 r r, C) tokens to (B, 3, c, 2 r, 2 r) planes."""
        low = self.config.triplane_low_res
        maps = tokens.unflatten(1, (3, low, low)).permute(0, 1, 4, 2, 3)  # (B, 3, C, r, r)
        return self.upsampler(maps.flatten(0, 1)).unflatten(0, (-1, 3)).contiguous()

    def fold_camera(self) -> LrmNetwork:
        """The network itself with the constant source camera in its weights.

        Of the base model this removes 58 of 260 million parameters and does not change the result.
        """
        camera = self.source_embedding()
        if camera is not None:
            for block in self.blocks:
                block.fold(camera)
            self.camera_embedder = None
        return self

    def fixed_for_export(self) -> LrmNetwork:
        """The network itself, folded, for images of its configured size only."""
        grid = self.config.image_size // self.config.encoder.patch
        self.encoder.fix_grid(grid, grid)
        return self.fold_camera()
