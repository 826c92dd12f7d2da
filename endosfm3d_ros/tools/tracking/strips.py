"""Strips fitted to a mask together, by coordinate descent."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.tools.tracking.axis import Axis
from endosfm3d_ros.tools.tracking.config import TrackerConfig


def fitted(axes: list[Axis], mask: np.ndarray, config: TrackerConfig) -> list[Axis]:
    """Axes moved so that their strips cover an (h, w) bool mask together, and nothing else.

    Bases and tips move by ever smaller steps, those of the tracker's `fit_steps`; a move must gain
    more pixels than `fit_reluctance` of the mask, so that what the mask does not show stays.
    """
    x, y, small = _samples(mask, config)
    axes = list(axes)
    inside = [axis.covers(x, y) for axis in axes]
    least = config.fit_reluctance * np.count_nonzero(small)
    for size in config.fit_steps:
        for k in range(len(axes)):
            others = np.zeros_like(small)
            for i, plane in enumerate(inside):
                if i != k:
                    others |= plane
            error = np.count_nonzero((others | inside[k]) != small)
            for step in _steps(size):
                axis = axes[k].moved(step).within(mask.shape)
                plane = axis.covers(x, y)
                wrong = np.count_nonzero((others | plane) != small)
                if wrong < error - least:
                    axes[k], inside[k], error = axis, plane, wrong
    return axes


def uncovered(axes: list[Axis], mask: np.ndarray, config: TrackerConfig) -> float:
    """Share of an (h, w) bool mask by which it and the strips differ."""
    x, y, small = _samples(mask, config)
    covered = np.any([axis.covers(x, y) for axis in axes], axis=0)
    return np.count_nonzero(covered != small) / max(np.count_nonzero(small), 1)


def _samples(mask: np.ndarray, config: TrackerConfig) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y and mask of every `fit_stride`-th pixel."""
    stride = config.fit_stride
    small = mask[::stride, ::stride]
    y, x = (stride * np.mgrid[: small.shape[0], : small.shape[1]]).astype(np.float32)
    return x, y, small


def _steps(size: float) -> list[np.ndarray]:
    """(2, 2) steps of base and tip: both, the tip, the base, to each of four sides."""
    sides = [np.array(side) * size for side in ((1, 0), (-1, 0), (0, 1), (0, -1))]
    shares = ((1, 1), (0, 1), (1, 0))
    return [np.outer(share, side) for share in shares for side in sides]
