"""What each of the two steps minimises for a batch, by recipe."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from endosfm3d_ros.networks.camera_motion import (
    intrinsics_from_q,
    motion_matrix,
    released_intrinsics,
)
from endosfm3d_ros.training.batches import NEIGHBOURS, TARGET, TripletBatch
from endosfm3d_ros.training.networks import TrainingNetworks
from endosfm3d_ros.training.per_pixel import (
    masked_flow_loss,
    minimum_depth_loss,
    synthesise_masked,
)
from endosfm3d_ros.training.recipes import Recipe
from endosfm3d_ros.training.self_supervision import (
    SourceView,
    depth_loss,
    flow_loss,
    observe,
    synthesise,
)


@dataclass(frozen=True)
class DepthStep:
    """Result of the second step; the rest is for logs and pictures."""

    loss: Tensor
    views: list[SourceView]
    warped: list[tuple[Tensor, ...]]  # neighbours seen from the target, scales 0..3
    disparities: tuple[Tensor, ...]
    focal: Tensor  # (2,) mean fx, fy as shares of width and height


class Objectives:
    """Both losses of a recipe.

    Args:
        half: run the depth backbone and the appearance flow in bfloat16. Heads, motion, optical
            flow, geometry and losses stay in float32: a disparity lives in the low tail of a
            sigmoid, and bfloat16 cannot tell half a pixel at a flow of 100.
    """

    def __init__(self, networks: TrainingNetworks, recipe: Recipe, half: bool = False) -> None:
        self.networks, self.recipe, self.half = networks, recipe, half

    def flow(self, batch: TripletBatch) -> Tensor:
        """Loss of step 1, which trains the optical flow."""
        target, tissue = batch.images[TARGET], self._tissue(batch)[TARGET]
        views = self._views(batch)
        weights = self.recipe.weights
        if self.recipe.per_pixel:
            return masked_flow_loss(views, target, tissue, weights).mean()
        return flow_loss(views, target, weights).mean()

    def depth(self, batch: TripletBatch) -> DepthStep:
        """Loss of step 2, which trains depth, pose and appearance flow."""
        # 1 what the networks say
        disparities = self._disparities(batch)
        motions, q = self._motions(batch)
        cameras, disagreement = self._cameras(q)
        views = self._views(batch)
        # 2 the neighbours as the target's camera would see them, and how they differ from it
        if self.recipe.per_pixel:
            losses, warped = self._minimum(batch, views, disparities, cameras, motions)
        else:
            losses, warped = self._released(batch, views, disparities, cameras, motions)
        loss = losses.mean() + self.recipe.weights.camera_agreement * disagreement
        focal = (q.detach()[..., :2] + 0.5).mean(dim=(0, 1))
        return DepthStep(loss, views, warped, disparities, focal)

    def _released(
        self,
        batch: TripletBatch,
        views: list[SourceView],
        disparities: tuple[Tensor, ...],
        cameras: list[Tensor],
        motions: list[Tensor],
    ) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """(4,) losses as published, and the warped neighbours."""
        sources = [batch.images[frame] for frame in NEIGHBOURS]
        warped = [
            synthesise(source, disparities, K, T) for source, K, T in zip(sources, cameras, motions)
        ]
        weights = self.recipe.weights
        return depth_loss(views, warped, disparities, batch.images[TARGET], weights), warped

    def _minimum(
        self,
        batch: TripletBatch,
        views: list[SourceView],
        disparities: tuple[Tensor, ...],
        cameras: list[Tensor],
        motions: list[Tensor],
    ) -> tuple[Tensor, list[tuple[Tensor, ...]]]:
        """(4,) losses per pixel, and the warped neighbours."""
        tissue = self._tissue(batch)
        syntheses = [
            synthesise_masked(batch.images[frame], tissue[frame], disparities, K, T)
            for frame, K, T in zip(NEIGHBOURS, cameras, motions)
        ]
        target, weights = batch.images[TARGET], self.recipe.weights
        losses = minimum_depth_loss(views, syntheses, disparities, target, tissue[TARGET], weights)
        return losses, [synthesis.images for synthesis in syntheses]

    def _tissue(self, batch: TripletBatch) -> Tensor:
        """(3, B, 1, H, W) pixels to learn from."""
        return batch.tissue if self.recipe.masked else torch.ones_like(batch.tissue)

    def _views(self, batch: TripletBatch) -> list[SourceView]:
        """Flow, occlusion and brightness of each neighbour."""
        return [
            observe(
                self.networks.optical_flow,
                self._appearance_flow,
                batch.images[frame],
                batch.images[TARGET],
                (batch.jittered[frame], batch.jittered[TARGET]),
            )
            for frame in NEIGHBOURS
        ]

    def _appearance_flow(self, pair: Tensor) -> tuple[Tensor, ...]:
        with torch.autocast(pair.device.type, torch.bfloat16, enabled=self.half):
            change = self.networks.appearance_flow(pair)
        return tuple(c.float() for c in change)

    def _disparities(self, batch: TripletBatch) -> tuple[Tensor, ...]:
        """(B, 1, H / 2^s, W / 2^s) of the image, s = 0..3."""
        depth, image = self.networks.depth, batch.depth_input
        with torch.autocast(image.device.type, torch.bfloat16, enabled=self.half):
            levels = depth.levels(image)
        height, width = batch.images.shape[-2:]
        return tuple(
            torch.sigmoid(depth.head(level.float(), (height >> scale, width >> scale)))
            for scale, level in enumerate(reversed(levels))
        )

    def _motions(self, batch: TripletBatch) -> tuple[list[Tensor], Tensor]:
        """(B, 4, 4) target to neighbour for each, and the (2, B, 4) camera outputs."""
        motions, cameras = [], []
        for frame in NEIGHBOURS:
            pair = torch.cat([batch.jittered[frame], batch.jittered[TARGET]], dim=1)
            axisangle, translation, q = self.networks.pose(pair)
            motions.append(motion_matrix(axisangle, translation))
            cameras.append(q)
        return motions, torch.stack(cameras)

    def _cameras(self, q: Tensor) -> tuple[list[Tensor], Tensor]:
        """(B, 3, 3) camera matrix for each neighbour, and how far the (2, B, 4) outputs differ.

        Released: that of the last pair for both, with its off-diagonal ln 2. Ours: the mean over
        the batch, all of which shows one clip.
        """
        height, width = self.recipe.image_size
        shared = q.mean(dim=(0, 1)) if self.recipe.clip_camera else q[-1]
        disagreement = (q - shared.detach()).square().mean()
        if self.recipe.clip_camera:
            K = intrinsics_from_q(shared.expand(q.shape[1], 4), width, height)
        else:
            K = released_intrinsics(shared, width, height)[:, :3, :3]
        return [K, K], disagreement
