"""Measurements merged into the Gaussians that are there already."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.tissue.appearance.visibility import Visibility
from endosfm3d_ros.tissue.observation import DepthNoise, Observation
from endosfm3d_ros.tissue.store.gaussians import GaussianStore

UNSURE = np.ones((3, 3), np.uint8)  # px around instruments whose colours are not believed


@dataclass(frozen=True)
class FusionConfig:
    """Running estimate per Gaussian."""

    largest_weight: float = 12.0  # observations; deforming tissue forgets what is older
    guess_gate: float = 0.5  # of the depth: so far a guess is moved to the first measurement
    surface: float = 0.06  # of the depth: a Gaussian so near the rendered surface is seen
    look_through_frames: int = 3  # frames in a row that prove that nothing is there
    fade: float = 0.5  # factor on opacity and weight of what is looked through
    faint: float = 0.1  # opacity below which it is removed


def fuse_depth(
    store: GaussianStore,
    visible: Visibility,
    seen: Observation,
    T_map_camera: np.ndarray,
    noise: DepthNoise,
    config: FusionConfig,
) -> None:
    """Move Gaussians along their viewing rays towards the measured depth (Kalman gain).

    A Gaussian is worth `weights` observations; one of confidence c moves it by c / (weights + c).
    Never sideways: only the flow knows about that.
    """
    measured = seen.depth[visible.row, visible.column]
    step = measured / visible.z - 1
    gate = np.where(store.guessed[visible.slots], config.guess_gate, noise.gate)
    used = visible.surface & (np.abs(step) < gate)  # NaN compares false
    slots = visible.slots[used]
    worth = seen.confidence[visible.row[used], visible.column[used]]
    store.weights[slots[store.guessed[slots]]] = 0
    store.guessed[slots] = False
    gain = worth / (store.weights[slots] + worth)
    centre = T_map_camera[:3, 3].astype(np.float32)
    store.means[slots] += (gain * step[used])[:, None] * (store.means[slots] - centre)
    store.weights[slots] = np.minimum(store.weights[slots] + worth, config.largest_weight)


def keep_clear_colors(store: GaussianStore, visible: Visibility, seen: Observation) -> None:
    """What goes under an instrument looks there as it did before the instrument came near.

    Beside instruments tissue is dark with their shadow and blurred into metal. The map follows the
    image in that, but only as long as it is seen.
    """
    if not seen.tool.any():
        store.clear_colors[visible.slots] = store.colors[visible.slots]
        return
    row, column = visible.row, visible.column
    clear = visible.slots[visible.surface & seen.clear[row, column]]
    store.clear_colors[clear] = store.colors[clear]
    # instruments with their margin; elsewhere colours are withheld for other reasons
    hidden = visible.slots[cv2.dilate(seen.tool.astype(np.uint8), UNSURE)[row, column] > 0]
    store.colors[hidden] = store.clear_colors[hidden]


def measured_support(
    store: GaussianStore, visible: Visibility, shape: tuple[int, int]
) -> np.ndarray:
    """(h, w) bool: the view shows Gaussians there whose depth was measured at some time."""
    mask = np.zeros(shape, np.uint8)
    rows = visible.surface & ~store.guessed[visible.slots]
    mask[visible.row[rows], visible.column[rows]] = 1
    return cv2.dilate(mask, np.ones((5, 5), np.uint8)) > 0  # over the gaps between them


def carve_free_space(
    store: GaussianStore,
    visible: Visibility,
    seen: Observation,
    noise: DepthNoise,
    config: FusionConfig,
) -> None:
    """Free space: what hangs before the measured surface for some frames is not there.

    Depth is unknown under instruments, so nothing that they hide is ever touched here.
    """
    measured = seen.depth[visible.row, visible.column]
    through = visible.z < measured * (1 - noise.gate)  # NaN compares false
    known = np.isfinite(measured)
    slots = visible.slots[known]
    store.in_front[slots] = np.where(through[known], store.in_front[slots] + 1, 0)
    gone = slots[store.in_front[slots] >= config.look_through_frames]
    store.opacities[gone] *= config.fade
    store.weights[gone] *= config.fade
    store.in_front[gone] = 0
    store.remove(gone[store.opacities[gone] < config.faint])


def note_seen(store: GaussianStore, visible: Visibility, seen: Observation, frame: int) -> None:
    """Mark what the image really shows."""
    shown = visible.slots[visible.surface & seen.color[visible.row, visible.column]]
    store.seen[shown] = frame
    store.hits[shown] += 1
