"""A contact sheet: what the simulator's pictures look like."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.datasets.simulation.batch import random_batch
from endosfm3d_ros.datasets.simulation.scenes import SCENES

COLUMNS = 8
WIDTH, HEIGHT = 240, 192
ROWS = 5  # of random pictures


def contact_sheet(seed: int) -> np.ndarray:
    """(H, W, 3) uint8 RGB: one picture of each named scene, then random ones.

    Args:
        seed: of all pictures.
    """
    named = [_named(name, seed) for name in SCENES]
    drawn = random_batch(seed, COLUMNS * ROWS - len(named) % COLUMNS, 1, HEIGHT, WIDTH)
    pictures = np.stack([*named, *drawn.images[:, 0].permute(0, 2, 3, 1).numpy()])
    rows = pictures.reshape(-1, COLUMNS, HEIGHT, WIDTH, 3)
    return rows.transpose(0, 2, 1, 3, 4).reshape(-1, COLUMNS * WIDTH, 3)


def _named(name: str, seed: int) -> np.ndarray:
    """A picture from the middle of a scene."""
    from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence

    return SimulatedSequence(name, frames=61, width=WIDTH, height=HEIGHT, seed=seed)[40].image
