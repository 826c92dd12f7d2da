"""Depth of every frame as files, for those who go on with it in other programs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from endosfm3d_ros.datasets.formats.calibration import camera_content
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.atomic import write_bytes, write_text
from endosfm3d_ros.inputs.compressed import encode_compressed
from endosfm3d_ros.scene.scene_cloud import units_of
from endosfm3d_ros.types import SceneUpdate

KINDS = ("none", "png", "npz")
STEP = 1e-5  # units per step of a PNG: 0.01 mm, up to 655 mm


class DepthFiles:
    """`depth/<number>.png` (16 bit, 0 = unknown) or `.npz` (depth, confidence), and depth.json.

    Args:
        folder: of the run.
        kind: one of KINDS.

    Raises:
        ConfigurationError: another kind.
    """

    def __init__(self, folder: Path, kind: str) -> None:
        require_kind(kind)
        self._folder, self._kind = folder / "depth", kind
        self._last: SceneUpdate | None = None

    def add(self, number: int, update: SceneUpdate) -> None:
        """Write the depth of one frame."""
        if self._kind == "none":
            return
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{number:06d}.{self._kind}"
        if self._kind == "png":
            write_bytes(path, encode_compressed(in_steps(update.depth.depth), "png"))
        else:
            depth, confidence = update.depth.depth, update.depth.confidence
            np.savez_compressed(path, depth=depth, confidence=confidence)
        self._last = update

    def finish(self, fps: float) -> None:
        """Say what the files mean: unit, step and the camera whose pixels they are."""
        if self._last is None:
            return
        meaning = {
            "unit": units_of(self._last),
            "scale_source": self._last.depth.scale.value,
            "unit_per_step": STEP if self._kind == "png" else 1.0,
            "unknown": 0 if self._kind == "png" else "NaN",
            "along": "z of the camera below, which has no distortion",
            "camera": camera_content(self._last.depth.camera, None, fps, STEP),
        }
        write_text(self._folder / "depth.json", json.dumps(meaning, indent=1) + "\n")


def require_kind(kind: str) -> None:
    """Raises ConfigurationError for a kind that is not one of KINDS."""
    if kind not in KINDS:
        raise ConfigurationError(f"--depth {kind}: accepted are {', '.join(KINDS)}")


def in_steps(depth: np.ndarray) -> np.ndarray:
    """(H, W) uint16 in steps of `STEP`, 0 where depth is unknown or beyond what fits."""
    steps = np.round(np.nan_to_num(depth, nan=0.0) / STEP)
    return np.where((steps >= 1) & (steps <= 65535), steps, 0).astype(np.uint16)
