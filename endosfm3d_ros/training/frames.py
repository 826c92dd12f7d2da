"""Recordings as arrays on disk at the size of the networks, so that every frame is a look-up.

Videos and bags can only be read in order, and decoding a full-size frame costs more than a
training step should wait for. Each recording is read once into a folder of .npy files.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.lib.format import open_memmap
from PIL import Image

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.files.atomic import replacing
from endosfm3d_ros.geometry.undistortion import Undistorter
from endosfm3d_ros.sfm.endosfm3d.arrays import resized_image
from endosfm3d_ros.sfm.endosfm3d.confidence import NetworkConfidenceConfig, pixel_validity
from endosfm3d_ros.tools.segmentation import MaskSource
from endosfm3d_ros.training.recipes import Recipe
from endosfm3d_ros.types import Frame

PLANES = ("images", "depth_inputs", "tissue")
STAMPS = "stamps.npy"  # written last: a folder without it is unfinished
TOOL_MARGIN = 5  # px at network size: masks end where the shadow of a tool begins
FREE_SPACE = 1 << 30  # bytes that must remain on the disk


@dataclass(frozen=True)
class PreparedClip:
    """N frames of one recording, in time order; arrays are mapped from disk."""

    name: str
    images: np.ndarray  # (N, H, W, 3) uint8 RGB at the size of the losses
    depth_inputs: np.ndarray  # (N, h, w, 3) uint8 RGB at the size of the depth network
    tissue: np.ndarray  # (N, H, W) uint8, 1 where a pixel may be learnt from
    stamps: np.ndarray  # (N,) int64 nanoseconds
    interval: int  # nanoseconds between frames that follow each other

    def __len__(self) -> int:
        return len(self.stamps)


def prepare_clip(
    sequence: Sequence,
    folder: Path,
    recipe: Recipe,
    tools: MaskSource | None = None,
    on_frame: Callable[[int, int], None] = lambda _done, _all: None,
) -> PreparedClip:
    """Read a recording into `folder`, or open what an earlier call left there.

    Args:
        sequence: any recording.
        folder: made here; unfinished ones are made anew.
        recipe: sizes, rate, resampling.
        tools: asked where the instruments are in frames without a recorded mask.
        on_frame: called with the frames done and their number.

    Raises:
        InputError: fewer than three frames.
        ConfigurationError: too little space on the disk.
    """
    stride = _stride(sequence.fps, recipe.max_rate)
    interval = round(stride * 1e9 / sequence.fps)
    if not _is_there(folder, recipe):
        _write(sequence, folder, recipe, stride, tools, on_frame)
    stamps = np.load(folder / STAMPS)
    if len(stamps) < 3:
        raise InputError(f"{sequence.name} has {len(stamps)} frames to learn from: 3 are needed")
    planes = {name: np.load(folder / f"{name}.npy", mmap_mode="r") for name in PLANES}
    return PreparedClip(sequence.name, stamps=stamps, interval=interval, **planes)


def _is_there(folder: Path, recipe: Recipe) -> bool:
    """Whether a folder is finished and of the sizes of the recipe."""
    if not (folder / STAMPS).is_file():
        return False
    sizes = recipe.image_size, recipe.depth_size, recipe.image_size
    stored = (np.load(folder / f"{name}.npy", mmap_mode="r").shape[1:3] for name in PLANES)
    return tuple(stored) == sizes


def _stride(fps: float, max_rate: float | None) -> int:
    """Frames of the recording from one prepared frame to the next."""
    return 1 if max_rate is None else max(1, round(fps / max_rate))


def _write(
    sequence: Sequence,
    folder: Path,
    recipe: Recipe,
    stride: int,
    tools: MaskSource | None,
    on_frame: Callable[[int, int], None],
) -> None:
    """One pass over the recording."""
    count = -(-len(sequence) // stride)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shapes = {
        "images": (count, *recipe.image_size, 3),
        "depth_inputs": (count, *recipe.depth_size, 3),
        "tissue": (count, *recipe.image_size),
    }
    _require_space(folder, sum(int(np.prod(shape)) for shape in shapes.values()))
    planes = {
        name: open_memmap(folder / f"{name}.npy", "w+", np.uint8, shape)
        for name, shape in shapes.items()
    }
    undistorter, stamps = Undistorter(), []
    for i, frame in enumerate(sequence):
        if i % stride:
            continue
        at = len(stamps)
        image, tool = _seen(sequence, i, frame, recipe, tools, undistorter)
        planes["images"][at] = resampled(image, recipe.image_size, recipe.resampling)
        planes["depth_inputs"][at] = resampled(image, recipe.depth_size, recipe.resampling)
        planes["tissue"][at] = tissue_pixels(planes["images"][at], tool)
        stamps.append(frame.stamp)
        on_frame(len(stamps), count)
    for plane in planes.values():
        plane.flush()
    with replacing(folder / STAMPS) as scratch, scratch.open("wb") as file:
        np.save(file, np.array(stamps, np.int64))


def _seen(
    sequence: Sequence,
    i: int,
    frame: Frame,
    recipe: Recipe,
    tools: MaskSource | None,
    undistorter: Undistorter,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Image and instrument mask of a frame, both of its own size."""
    tool = sequence.mask(i)
    if tool is None and tools is not None:
        tool = tools.segment(frame).mask
    if not recipe.undistorted or frame.camera is None:
        return frame.image, tool
    image = undistorter.apply(frame.image, frame.camera)
    if tool is not None:
        tool = undistorter.apply(tool.astype(np.uint8), frame.camera, exact=True) > 0
    return image, tool


def resampled(image: np.ndarray, size: tuple[int, int], how: str) -> np.ndarray:
    """(H, W, 3) uint8 image at (height, width)."""
    if how == "area":
        return resized_image(image, size)
    return np.asarray(Image.fromarray(image).resize(size[::-1], Image.Resampling.LANCZOS))


def tissue_pixels(image: np.ndarray, tool: np.ndarray | None) -> np.ndarray:
    """(H, W) uint8, 1 where a resized image shows tissue that is lit and not dazzling.

    `tool` is a bool mask of any size.
    """
    tissue = pixel_validity(image, NetworkConfidenceConfig()) > 0.5
    if tool is not None:
        size = image.shape[1::-1]
        small = cv2.resize(tool.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        grown = cv2.dilate(small, np.ones((TOOL_MARGIN, TOOL_MARGIN), np.uint8))
        tissue &= grown == 0
    return tissue.astype(np.uint8)


def _require_space(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + FREE_SPACE > free:
        raise ConfigurationError(
            f"{folder} needs {needed / 1e9:.1f} GB for frames, but the disk has "
            f"{free / 1e9:.1f} GB: train on a part of the recording"
        )
