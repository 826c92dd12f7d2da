"""The Gaussians of the map: preallocated arrays, a cap, and slots that are used again.

Nothing is concatenated or reallocated while a stream runs, so memory is flat and the rasteriser
reads the arrays in place. A slot whose opacity is zero is empty: the rasteriser culls it.
"""

from __future__ import annotations

import numpy as np

NEIGHBOURS = 4  # graph nodes that carry one Gaussian

FIELDS: dict[str, tuple[tuple[int, ...], type]] = {
    "means": ((3,), np.float32),  # map frame, metres
    "quats": ((4,), np.float32),  # w x y z; the third axis is the surface normal
    "scales": ((3,), np.float32),  # standard deviations, metres
    "opacities": ((), np.float32),  # 0..1; 0 is an empty slot
    "colors": ((3,), np.float32),  # RGB 0..1
    "clear_colors": ((3,), np.float32),  # as last seen away from instruments; else as planted
    "weights": ((), np.float32),  # observations that the position is worth
    "born": ((), np.int32),  # frame that created it
    "seen": ((), np.int32),  # last frame that saw it
    "hits": ((), np.int32),  # frames that saw it
    "in_front": ((), np.uint8),  # frames in a row that looked through it
    "inferred": ((), np.bool_),  # filled in, never seen
    "guessed": ((), np.bool_),  # depth filled in, never measured
    "node_index": ((NEIGHBOURS,), np.int32),
    "node_weight": ((NEIGHBOURS,), np.float32),  # sum to one
}


class GaussianStore:
    """Structure of arrays with `capacity` slots; rows `[:size]` hold everything alive.

    Args:
        capacity: the largest number of Gaussians, ever.
    """

    means: np.ndarray
    quats: np.ndarray
    scales: np.ndarray
    opacities: np.ndarray
    colors: np.ndarray
    clear_colors: np.ndarray
    weights: np.ndarray
    born: np.ndarray
    seen: np.ndarray
    hits: np.ndarray
    in_front: np.ndarray
    inferred: np.ndarray
    guessed: np.ndarray
    node_index: np.ndarray
    node_weight: np.ndarray

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        for name, (shape, dtype) in FIELDS.items():
            setattr(self, name, np.zeros((capacity, *shape), dtype))
        self.clear()

    def clear(self) -> None:
        """Empty every slot; the memory stays."""
        self.size = 0
        self._free = np.empty(0, np.int64)
        self.opacities[:] = 0

    @property
    def alive(self) -> np.ndarray:
        """(size,) bool."""
        return self.opacities[: self.size] > 0

    @property
    def count(self) -> int:
        """How many are alive."""
        return self.size - len(self._free)

    @property
    def room(self) -> int:
        """How many more fit."""
        return self.capacity - self.count

    def view(self, name: str) -> np.ndarray:
        """Rows `[:size]` of a field, without a copy."""
        return getattr(self, name)[: self.size]

    def add(self, rows: dict[str, np.ndarray]) -> np.ndarray:
        """Insert Gaussians, as many as there is room for; fields left out are zero.

        Returns:
            (n,) int64 their slots, in the order of the rows.
        """
        count = min(len(rows["means"]), self.room)
        reused = self._free[len(self._free) - min(count, len(self._free)) :]
        self._free = self._free[: len(self._free) - len(reused)]
        fresh = np.arange(self.size, self.size + count - len(reused))
        self.size += len(fresh)
        slots = np.concatenate([reused, fresh])
        for name in FIELDS:
            getattr(self, name)[slots] = rows[name][:count] if name in rows else 0
        return slots

    def rescale(self, factor: float) -> None:
        """Places and sizes become larger by a factor."""
        self.view("means")[:] *= np.float32(factor)
        self.view("scales")[:] *= np.float32(factor)

    def remove(self, slots: np.ndarray) -> None:
        """Empty slots given by index; those already empty are left alone."""
        slots = np.unique(slots[self.opacities[slots] > 0])
        self.opacities[slots] = 0
        self._free = np.concatenate([self._free, slots])

    def tidy(self) -> None:
        """Move everything alive to the front once a quarter is empty; slots get new numbers."""
        if len(self._free) * 4 <= self.size:
            return
        keep = np.flatnonzero(self.alive)
        for name in FIELDS:
            values = getattr(self, name)
            values[: len(keep)] = values[keep]
        self.opacities[len(keep) : self.size] = 0
        self.size = len(keep)
        self._free = np.empty(0, np.int64)
