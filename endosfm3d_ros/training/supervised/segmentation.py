"""Instruments and their parts in one simulated image, or in clips whose masks somebody drew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endosfm3d_ros.datasets.clips.sequence import ClipSequence
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.networks.students import ToolStudent
from endosfm3d_ros.training.supervised.bank import Bank
from endosfm3d_ros.training.supervised.loop import Schedule, Task, generator_of
from endosfm3d_ros.training.supervised.photometry import photometric
from endosfm3d_ros.training.supervised.windows import coins, enlarged, flipped, random_windows

UNKNOWN = 255  # part of a pixel that is known to be an instrument
IGNORED = 254  # part of a pixel that nothing is known of


@dataclass(frozen=True)
class SegmentationLossConfig:
    """Weights of the terms."""

    overlap: float = 0.5  # soft Dice beside cross-entropy
    parts: float = 0.3
    zoom: float = 0.6  # smallest window that is cut out
    clips: float = 0.5  # share of a batch that comes from clips, where there are any


@dataclass(frozen=True)
class DrawnMasks:
    """Frames of clips at the size of the network."""

    images: Tensor  # (N, 1, 3, H, W) uint8 RGB
    parts: Tensor  # (N, 1, H, W) uint8: 0 tissue, UNKNOWN instrument, IGNORED not to be scored


@dataclass(frozen=True)
class SegmentationTask(Task):
    """A segmentation network on a bank, and on drawn masks where there are any.

    Args:
        bank: of one or more frames; the first one is used.
        drawn: frames of clips.
        start: tensors of a network with the same U-Net (a depth student), to begin from.
        config: weights of the loss.
    """

    bank: Bank
    drawn: DrawnMasks | None = None
    start: dict[str, Tensor] | None = None
    config: SegmentationLossConfig = SegmentationLossConfig()
    name = "segmentation"

    def network(self) -> nn.Module:
        network = ToolStudent()
        if self.start is not None:
            known = {k: v.float() for k, v in self.start.items() if not k.startswith("unet.head.")}
            network.load_state_dict(known, strict=False)
        return network

    def loss(self, network: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        image, parts = batch
        tool, part_scores = network(image)
        return segmentation_loss(tool.float(), part_scores.float(), parts, self.config)

    def batch(self, step: int, schedule: Schedule) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) images in [0, 1] and (B, H, W) parts."""
        random = generator_of(schedule.seed, step)
        drawn = round(self.config.clips * schedule.batch) if self.drawn else 0
        sample = self.bank.draw(schedule.batch - drawn, step / schedule.steps, random)
        images, parts = sample.images[:, :1], sample.parts[:, :1]
        if drawn:
            index = torch.randint(len(self.drawn.images), (drawn,), generator=random)
            images = torch.cat([images, self.drawn.images[index]])
            parts = torch.cat([parts, self.drawn.parts[index]])
        return self.augmented(images, parts, random)

    def augmented(
        self, images: Tensor, parts: Tensor, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Developed, mirrored and cut out at random; parts move with their image."""
        image, plane = photometric(images, random)[:, 0], parts.float()
        mirror = coins(2, random)
        window = random_windows(len(image), self.config.zoom, random)
        image = enlarged(flipped(image, *mirror), window, "bilinear")
        plane = enlarged(flipped(plane, *mirror), window, "nearest")[:, 0].byte()
        return image.contiguous(memory_format=torch.channels_last), plane


def segmentation_loss(
    tool: Tensor, part_scores: Tensor, parts: Tensor, config: SegmentationLossConfig
) -> dict[str, Tensor]:
    """Terms for (B, 1, H, W) and (B, 4, H, W) logits and (B, H, W) parts.

    Cross-entropy and soft Dice (Milletari et al. 2016) of instrument against tissue; which part
    it is counts on instruments only, where the part is known.
    """
    known = parts != IGNORED
    wanted = ((parts > 0) & known).float()
    scores = tool[:, 0]
    entropy = F.binary_cross_entropy_with_logits(scores[known], wanted[known])
    probability = torch.sigmoid(scores) * known
    common, total = (probability * wanted).sum(), probability.sum() + wanted.sum()
    terms = {"entropy": entropy, "overlap": 1 - 2 * (common + 1) / (total + 2)}
    named = (parts > 0) & (parts < IGNORED)
    if named.any():
        chosen = part_scores.movedim(1, -1)[named][:, 1:]  # the other head says what is tissue
        terms["parts"] = F.cross_entropy(chosen, parts[named].long() - 1)
    else:
        terms["parts"] = 0 * part_scores.mean()
    total = entropy + config.overlap * terms["overlap"] + config.parts * terms["parts"]
    return terms | {"loss": total}


def read_drawn_masks(folders: list[Path], size: tuple[int, int]) -> DrawnMasks | None:
    """All frames of clip folders that have a mask to be trusted; None without a folder.

    Raises:
        InputError: a folder without such a frame.
    """
    images, planes = [], []
    for folder in folders:
        clip = ClipSequence(folder)
        chosen = [i for i in range(len(clip)) if clip.mask_valid(i)]
        if not chosen:
            raise InputError(f"{folder} has no masks/ with frames to train on")
        for i in chosen:
            images.append(cv2.resize(clip[i].image, size[::-1], interpolation=cv2.INTER_AREA))
            planes.append(_plane(clip, i, size))
    if not images:
        return None
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)[:, None]
    return DrawnMasks(stacked.contiguous(), torch.from_numpy(np.stack(planes))[:, None])


def _plane(clip: ClipSequence, i: int, size: tuple[int, int]) -> np.ndarray:
    """(H, W) uint8 parts of a frame that says instrument or not."""
    plane = np.where(clip.mask(i), UNKNOWN, 0).astype(np.uint8)
    ignore = clip.ignore(i)
    if ignore is not None:
        plane[ignore] = IGNORED
    return cv2.resize(plane, size[::-1], interpolation=cv2.INTER_NEAREST)
