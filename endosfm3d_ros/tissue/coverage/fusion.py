"""Measurements merged into the Gaussians that are there already."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tissue.appearance.rendering import Rendering
from endosfm3d_ros.tissue.observation import Observation
from endosfm3d_ros.tissue.store.gaussians import GaussianStore


@dataclass(frozen=True)
class DepthNoise:
    """What a depth source is good for; all relative to the depth."""

    sigma: float  # standard deviation
    gate: float  # larger differences are another surface


METRIC_NOISE = DepthNoise(sigma=0.005, gate=0.03)  # stereo: 0.3 % median error, rounded up
RELATIVE_NOISE = DepthNoise(sigma=0.05, gate=0.25)  # one eye: smooth, flickering, unscaled


@dataclass(frozen=True)
class FusionConfig:
    """Running estimate per Gaussian."""

    largest_weight: float = 12.0  # observations; deforming tissue forgets what is older
    guess_gate: float = 0.5  # of the depth: so far a guess is moved to the first measurement
    surface: float = 0.06  # of the depth: a Gaussian so near the rendered surface is seen
    look_through_frames: int = 3  # frames in a row that prove that nothing is there
    fade: float = 0.5  # factor on opacity and weight of what is looked through
    faint: float = 0.1  # opacity below which it is removed


@dataclass(frozen=True)
class Sight:
    """Which Gaussians the view shows, and on which pixel."""

    slots: np.ndarray  # (n,) int64 inside the view
    row: np.ndarray  # (n,) int64
    column: np.ndarray  # (n,) int64
    z: np.ndarray  # (n,) float32
    surface: np.ndarray  # (n,) bool on the surface that the view shows, not behind it


def look(view: Rendering, surface: float) -> Sight:
    """Pixel and visibility of every Gaussian whose centre lies in the view."""
    height, width = view.depth.shape
    column, row = np.rint(view.pixels).astype(np.int64).T
    slots = np.flatnonzero(
        view.shown & (column >= 0) & (row >= 0) & (column < width) & (row < height)
    )
    row, column, z = row[slots], column[slots], view.z[slots]
    front = view.depth[row, column]
    return Sight(slots, row, column, z, z < front * (1 + surface))


def fuse_depth(
    store: GaussianStore,
    sight: Sight,
    seen: Observation,
    T_map_camera: np.ndarray,
    noise: DepthNoise,
    config: FusionConfig,
) -> None:
    """Move Gaussians along their viewing rays towards the measured depth (Kalman gain).

    A Gaussian is worth `weights` observations; one of confidence c moves it by c / (weights + c).
    Never sideways: only the flow knows about that.
    """
    measured = seen.depth[sight.row, sight.column]
    step = measured / sight.z - 1
    gate = np.where(store.guessed[sight.slots], config.guess_gate, noise.gate)
    used = sight.surface & (np.abs(step) < gate)  # NaN compares false
    slots = sight.slots[used]
    worth = seen.confidence[sight.row[used], sight.column[used]]
    store.weights[slots[store.guessed[slots]]] = 0
    store.guessed[slots] = False
    gain = worth / (store.weights[slots] + worth)
    centre = T_map_camera[:3, 3].astype(np.float32)
    store.means[slots] += (gain * step[used])[:, None] * (store.means[slots] - centre)
    store.weights[slots] = np.minimum(store.weights[slots] + worth, config.largest_weight)


def proven(store: GaussianStore, sight: Sight, shape: tuple[int, int]) -> np.ndarray:
    """(h, w) bool: the view shows Gaussians there whose depth was measured at some time."""
    mask = np.zeros(shape, np.uint8)
    rows = sight.surface & ~store.guessed[sight.slots]
    mask[sight.row[rows], sight.column[rows]] = 1
    return cv2.dilate(mask, np.ones((5, 5), np.uint8)) > 0  # over the gaps between them


def fade_what_is_looked_through(
    store: GaussianStore,
    sight: Sight,
    seen: Observation,
    noise: DepthNoise,
    config: FusionConfig,
) -> None:
    """Free space: what hangs before the measured surface for some frames is not there.

    Depth is unknown under instruments, so nothing that they hide is ever touched here.
    """
    measured = seen.depth[sight.row, sight.column]
    through = sight.z < measured * (1 - noise.gate)  # NaN compares false
    known = np.isfinite(measured)
    slots = sight.slots[known]
    store.in_front[slots] = np.where(through[known], store.in_front[slots] + 1, 0)
    gone = slots[store.in_front[slots] >= config.look_through_frames]
    store.opacities[gone] *= config.fade
    store.weights[gone] *= config.fade
    store.in_front[gone] = 0
    store.remove(gone[store.opacities[gone] < config.faint])


def note_seen(store: GaussianStore, sight: Sight, seen: Observation, frame: int) -> None:
    """Mark what the image really shows."""
    shown = sight.slots[sight.surface & seen.color[sight.row, sight.column]]
    store.seen[shown] = frame
    store.hits[shown] += 1


def pixels_as_rays(camera: PinholeCamera, pixels: np.ndarray) -> np.ndarray:
    """(N, 2) pixels of an undistorted camera to x/z and y/z."""
    return (pixels - (camera.cx, camera.cy)) / (camera.fx, camera.fy)
