"""The clips of a suite: simulated ones, rendered once, and a folder of recordings.

A folder of recordings may hold `suite.json`, which says what the recordings themselves cannot:
    {"clips": [{"path": "name", "frames": [0, 60], "rests": true}, ...]}
`frames` picks a part (first, past the last), `rests` says that the camera stands still, and
`"calibrated": false` that the camera file is a guess. Without the file every recording in the
folder is a clip.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from endosfm3d_ros.datasets.clips.writer import write_clip
from endosfm3d_ros.datasets.open import find_reader, open_sequence
from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.datasets.simulation.scenes import SCENES
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.errors import ConfigurationError, EndoError, InputError
from endosfm3d_ros.files.locations import cache_folder
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import Frame

LIST = "suite.json"
RENDERING = 1  # of the simulator: raise it when its pictures change, and clips are made anew
SIZE = (320, 256)
QUICK = ("moving", "breathing", "surgery", "resting")
LEAST_FRAMES = 8  # fewer are pictures, not a video


@dataclass(frozen=True)
class SuiteClip:
    """One clip; opened when its turn comes."""

    name: str
    open: Callable[[], Sequence]


class Excerpt(Sequence):
    """Some frames of a sequence with its references of camera, depth and pose.

    Args:
        whole: a sequence that gives frames by iteration.
        first: position.
        end: past the last one; None for all.
        rests: the camera is known to stand still.
        one_eye: without the right eye.
        calibrated: whether the camera is known.
    """

    def __init__(
        self, whole: Sequence, first: int = 0, end: int | None = None, rests: bool = False,
        one_eye: bool = False, calibrated: bool = True,
    ) -> None:  # fmt: skip
        self._whole, self._first, self._rests, self._one_eye = whole, first, rests, one_eye
        self._end = len(whole) if end is None else min(end, len(whole))
        self.name, self.fps = whole.name, whole.fps
        self.camera = whole.camera if calibrated else None
        self.stereo = None if one_eye else whole.stereo
        self.poses_metric = whole.poses_metric or rests

    def __len__(self) -> int:
        return max(0, self._end - self._first)

    def __iter__(self) -> Iterator[Frame]:
        for i, frame in enumerate(self._whole):
            if i >= self._end:
                return
            if i >= self._first:
                alone = {"right_image": None, "stereo": None} if self._one_eye else {}
                unknown = {"camera": None} if self.camera is None else {}
                yield replace(frame, **alone, **unknown)

    def number(self, i: int) -> int:
        return self._whole.number(i + self._first)

    def reference_depth(self, i: int) -> np.ndarray | None:
        return self._whole.reference_depth(i + self._first)

    def reference_pose(self, i: int) -> np.ndarray | None:
        return np.eye(4) if self._rests else self._whole.reference_pose(i + self._first)

    def reference_camera(self, i: int) -> PinholeCamera | None:
        return self._whole.reference_camera(i + self._first)


def simulated_clips(
    seeds: tuple[int, ...], frames: int, quick: bool, on_render: Callable[[str], None]
) -> list[SuiteClip]:
    """Every scene with every seed, rendered into the cache when first opened."""
    scenes = QUICK if quick else tuple(SCENES)

    def clip(scene: str, seed: int) -> SuiteClip:
        return SuiteClip(f"{scene} {seed}", lambda: _rendered(scene, seed, frames, on_render))

    return [clip(scene, seed) for scene in scenes for seed in seeds]


def _rendered(scene: str, seed: int, frames: int, on_render: Callable[[str], None]) -> Sequence:
    width, height = SIZE
    name = f"{scene}-{seed}-{frames}x{width}x{height}-{RENDERING}"
    folder = cache_folder() / "suite" / name
    if not folder.is_dir():
        on_render(name)
        folder.parent.mkdir(parents=True, exist_ok=True)
        whole = SimulatedSequence(scene, frames=frames, width=width, height=height, seed=seed)
        write_clip(Excerpt(whole), folder)
    return open_sequence(folder)


def real_clips(folder: Path, quick: bool = False) -> list[SuiteClip]:
    """The recordings of a folder, as its `suite.json` lists them, or all that can be opened.

    Args:
        folder: of recordings.
        quick: the first 60 frames of each.

    Raises:
        InputError: no such folder, nothing in it that is a video, or a list that is damaged.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: a folder of recordings is needed")
    entries = _listed(folder) if (folder / LIST).is_file() else _found(folder)
    if not entries:
        raise InputError(f"{folder} has no recordings of at least {LEAST_FRAMES} frames")
    return [_real(folder, entry, 60 if quick else None) for entry in entries]


def _real(folder: Path, entry: dict[str, Any], limit: int | None) -> SuiteClip:
    first, end = entry.get("frames", (0, None))
    if limit is not None:
        end = first + limit if end is None else min(end, first + limit)
    says = {"rests": bool(entry.get("rests")), "calibrated": bool(entry.get("calibrated", True))}
    path = folder / entry["path"]
    return SuiteClip(
        str(entry.get("name", entry["path"])),
        lambda: Excerpt(open_sequence(path), first, end, **says),
    )


def _listed(folder: Path) -> list[dict[str, Any]]:
    path = folder / LIST
    try:
        entries = json.loads(path.read_text())["clips"]
        good = all(isinstance(e["path"], str) and len(e.get("frames", (0, 1))) == 2
                   for e in entries)  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: a list 'clips' of entries with 'path' is accepted") from error
    if not good:
        raise InputError(f"{path}: 'path' is text and 'frames' is [first, past the last]")
    return entries


def _found(folder: Path) -> list[dict[str, Any]]:
    """Every recording directly below the folder, by name."""
    found = []
    for path in sorted(folder.iterdir()):
        try:
            find_reader(path)
            if len(open_sequence(path)) >= LEAST_FRAMES:
                found.append({"path": path.name})
        except EndoError:
            continue
    return found


def chosen(clips: list[SuiteClip], only: str) -> list[SuiteClip]:
    """Those whose name contains the text.

    Raises:
        ConfigurationError: none does.
    """
    kept = [clip for clip in clips if only in clip.name]
    if not kept:
        raise ConfigurationError(
            f"--only {only!r}: accepted is a part of {', '.join(clip.name for clip in clips)}"
        )
    return kept
