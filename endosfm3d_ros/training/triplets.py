"""Triplets of frames: which there are, which are held out, and the batches of an epoch.

Order and augmentation are functions of (seed, epoch, triplet) alone, so a training that was
interrupted goes on with exactly the batches that it would have seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.training.augmentation import JitterDraw, draw_triplet
from endosfm3d_ros.training.batches import TripletBatch
from endosfm3d_ros.training.frames import PreparedClip
from endosfm3d_ros.training.recipes import Recipe

GAP = 1.5  # intervals; neighbours further away in time are none
STILL = -1  # epoch of items that are not augmented


@dataclass(frozen=True)
class Triplet:
    """Position of a target whose neighbours are the frames before and after it."""

    clip: int
    frame: int


@dataclass(frozen=True)
class Item:
    """One triplet of a batch, with what makes its random changes repeatable."""

    triplet: int
    epoch: int = STILL
    flipped: bool = False


@dataclass(frozen=True)
class Split:
    """Triplets to learn from and triplets held out; no frame is in both."""

    training: tuple[Triplet, ...]
    validation: tuple[Triplet, ...]


def triplets_of(clips: list[PreparedClip], first: int = 0) -> list[Triplet]:
    """All targets with a neighbour on both sides; clips count from `first`."""
    found = []
    for number, clip in enumerate(clips, start=first):
        near = np.diff(clip.stamps) <= GAP * clip.interval
        middle = np.flatnonzero(near[:-1] & near[1:]) + 1
        found += [Triplet(number, int(frame)) for frame in middle]
    return found


def split_by_time(clips: list[PreparedClip], share: float) -> Split:
    """The last `share` of every clip is held out, at least one triplet; none crosses the border."""
    training, validation = [], []
    for number, clip in enumerate(clips):
        triplets = triplets_of([clip], number)
        held = triplets[-max(1, round(share * len(triplets))) :]
        border = held[0].frame - 1 if held else len(clip)
        training += [t for t in triplets if t.frame + 1 < border]
        validation += held
    return _checked(Split(tuple(training), tuple(validation)))


def split_by_clip(clips: list[PreparedClip], held_out: int) -> Split:
    """The last `held_out` clips are for validation."""
    border = len(clips) - held_out
    training = triplets_of(clips[:border])
    return _checked(Split(tuple(training), tuple(triplets_of(clips[border:], border))))


def _checked(split: Split) -> Split:
    for name in ("training", "validation"):
        if not getattr(split, name):
            raise InputError(
                f"no three consecutive frames are left for {name}: give more or longer recordings"
            )
    return split


def epoch_batches(triplets: tuple[Triplet, ...], recipe: Recipe, epoch: int) -> list[list[Item]]:
    """The batches of an epoch in their order; with one camera per batch, each is of one clip.

    A rest smaller than a batch is left out, as published, unless nothing else is there.
    """
    rng = np.random.default_rng([recipe.seed, epoch])
    groups: dict[int, list[int]] = {}
    for index in rng.permutation(len(triplets)):
        group = triplets[index].clip if recipe.clip_camera else 0
        groups.setdefault(group, []).append(int(index))
    batches = []
    for members in groups.values():
        size = min(recipe.batch_size, len(members))
        whole = len(members) // size * size
        batches += [members[at : at + size] for at in range(0, whole, size)]
    order = rng.permutation(len(batches))
    return [_items(batches[i], recipe, epoch, rng) for i in order]


def _items(members: list[int], recipe: Recipe, epoch: int, rng: np.random.Generator) -> list[Item]:
    """A batch with its mirrorings: a common one where the camera is common."""
    draws = rng.random(len(members)) < recipe.flip_probability
    flips = np.broadcast_to(draws[0], draws.shape) if recipe.clip_camera else draws
    return [Item(index, epoch, bool(flip)) for index, flip in zip(members, flips)]


def validation_batches(triplets: tuple[Triplet, ...], recipe: Recipe) -> list[list[Item]]:
    """All held-out triplets in order, unchanged; no batch mixes clips."""
    batches: list[list[Item]] = []
    for index, triplet in enumerate(triplets):
        last = triplets[batches[-1][0].triplet].clip if batches else None
        if last != triplet.clip or len(batches[-1]) == recipe.batch_size:
            batches.append([])
        batches[-1].append(Item(index))
    return batches


class TripletImages(Dataset):
    """Items to arrays."""

    def __init__(
        self, clips: list[PreparedClip], triplets: tuple[Triplet, ...], recipe: Recipe
    ) -> None:
        self.clips, self.triplets, self.recipe = clips, triplets, recipe

    def __len__(self) -> int:
        return len(self.triplets)

    def __getitem__(self, item: Item) -> dict[str, np.ndarray]:
        """The fields of a `TripletBatch` for one triplet, channels first."""
        triplet = self.triplets[item.triplet]
        clip, target = self.clips[triplet.clip], triplet.frame
        frames = [target, target - 1, target + 1]
        # 1 as stored, mirrored where drawn
        images = [_floats(clip.images[frame], item.flipped) for frame in frames]
        small = _floats(clip.depth_inputs[target], item.flipped)
        tissue = [_mirrored(clip.tissue[frame], item.flipped)[None] for frame in frames]
        # 2 what the networks see
        draws = self._draws(item)
        jittered = [draw.apply(image) for draw, image in zip(draws, images)]
        return {
            "images": np.stack([_channels_first(image) for image in images]),
            "jittered": np.stack([_channels_first(image) for image in jittered]),
            "depth_input": _channels_first(draws[0].apply(small)),
            "tissue": np.stack(tissue).astype(np.float32),
        }

    def _draws(self, item: Item) -> tuple[JitterDraw, ...]:
        if item.epoch == STILL:
            return (JitterDraw(),) * 3
        rng = np.random.default_rng([self.recipe.seed, item.epoch, item.triplet])
        return draw_triplet(self.recipe.jitter, rng)


def load_batches(images: TripletImages, batches: list[list[Item]], workers: int = 0) -> DataLoader:
    """Batches as `TripletBatch`, read ahead by processes of their own where `workers` > 0."""
    return DataLoader(
        images,
        batch_sampler=batches,
        collate_fn=collated,
        num_workers=workers,
        generator=torch.Generator(),  # its own: each loader draws, which would shift the dropout
    )


def collated(items: list[dict[str, np.ndarray]]) -> TripletBatch:
    """Items to a batch; frames come before the batch."""

    def stacked(name: str, axis: int) -> torch.Tensor:
        return torch.from_numpy(np.stack([item[name] for item in items], axis=axis))

    return TripletBatch(
        stacked("images", 1),
        stacked("jittered", 1),
        stacked("depth_input", 0),
        stacked("tissue", 1),
    )


def _mirrored(plane: np.ndarray, flipped: bool) -> np.ndarray:
    return plane[:, ::-1] if flipped else plane


def _floats(image: np.ndarray, flipped: bool) -> np.ndarray:
    """(H, W, 3) float32 in [0, 1]."""
    return np.ascontiguousarray(_mirrored(image, flipped)).astype(np.float32) / 255


def _channels_first(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image.transpose(2, 0, 1))
