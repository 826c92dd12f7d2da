"""Keeping the map within its caps: crowds thinned, coarse Gaussians split, the rest evicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.tissue.appearance.rendering import Rendering
from endosfm3d_ros.tissue.appearance.visibility import Visibility
from endosfm3d_ros.tissue.coverage.densification import Place
from endosfm3d_ros.tissue.coverage.density import Density
from endosfm3d_ros.tissue.deformation.graph import DeformationGraph
from endosfm3d_ros.tissue.store.gaussians import FIELDS, GaussianStore


@dataclass(frozen=True)
class MaintenanceConfig:
    """Lengths as shares of the spacing that is wanted where the image shows a Gaussian."""

    crowd: int = 2  # Gaussians on the surface in a cell as wide as the spacing; more are thinned
    fine: float = 0.62  # standard deviation that those left over in a crowd grow to ...
    growth: float = 1.2  # ... by this factor at a time
    coarse: float = 1.05  # standard deviation above which one is split into four ...
    per_frame: int = 600  # ... so many each frame, the most too coarse first
    room: float = 0.1  # share of the capacity that is kept free for what comes into view
    memory: float = 60.0  # seconds after which what is out of view is worth a third


def maintain(
    store: GaussianStore,
    graph: DeformationGraph,
    view: Rendering,
    visible: Visibility,
    place: Place,
    fps: float,
    config: MaintenanceConfig,
) -> np.ndarray | None:
    """All of it, after every frame; splitting and thinning take turns, every other frame.

    Returns:
        As `drop_idle_nodes`.
    """
    if place.frame % 4 == 1:
        split_coarse(store, visible, place, config)
    elif place.frame % 4 == 3:
        thin_crowds(store, visible, view.pixels, place, config)
    evict(store, visible.slots[visible.surface], place.frame, fps, config)
    return drop_idle_nodes(store, graph)


def thin_crowds(
    store: GaussianStore,
    visible: Visibility,
    pixels: np.ndarray,
    place: Place,
    config: MaintenanceConfig,
) -> int:
    """Where compression or a retreating camera piled Gaussians up: fewer and larger ones.

    The least observed of every crowded cell go, those that stay grow to cover for them.

    Args:
        store: the map.
        visible: what the view shows.
        pixels: (N, 2) of every slot in that view.
        place: image and pose.
        config: what a crowd is.

    Returns:
        How many were removed.
    """
    # 1 the crowded cells
    rows = _in_the_image(store, visible, place)
    key = _cells(
        pixels[visible.slots[rows]], visible.row[rows], visible.column[rows], place.density
    )
    crowded = np.bincount(key)[key] > config.crowd
    rows, key = rows[crowded], key[crowded]
    # 2 their Gaussians from the most to the least observed
    slots = visible.slots[rows]
    order = np.lexsort((-store.weights[slots], key))
    rows, slots, key = rows[order], slots[order], key[order]
    first = np.concatenate([[True], key[1:] != key[:-1]])[: len(key)]
    start = np.maximum.accumulate(np.where(first, np.arange(len(key)), 0))
    surplus = np.arange(len(key)) - start >= config.crowd
    _enlarge(store, rows[start[surplus]], visible, place, config)
    store.remove(slots[surplus])
    return int(surplus.sum())


def _in_the_image(store: GaussianStore, visible: Visibility, place: Place) -> np.ndarray:
    """(n,) int64 rows of what the image really shows; what is hidden is left as it is."""
    shown = place.seen.color[visible.row, visible.column]
    return np.flatnonzero(visible.surface & shown & (store.opacities[visible.slots] > 0))


def _cells(pixels: np.ndarray, row: np.ndarray, column: np.ndarray, density: Density) -> np.ndarray:
    """(n,) int64 one number per cell, whose side is the spacing wanted there."""
    level = density.level[row, column].astype(np.int64)
    cell = np.floor(pixels / density.spacings[level][:, None]).astype(np.int64) + 1
    most = int(max(density.level.shape) / density.spacings.min()) + 3
    return (level * most + cell[:, 1]) * most + cell[:, 0]


def _enlarge(
    store: GaussianStore,
    rows: np.ndarray,
    visible: Visibility,
    place: Place,
    config: MaintenanceConfig,
) -> None:
    """Let Gaussians grow by a step, up to the size that covers a cell."""
    slots = visible.slots[rows]
    wanted = config.fine * place.density.spacing(visible.row[rows], visible.column[rows])
    size = store.scales[slots, 0] * place.seen.camera.fx / visible.z[rows]
    factor = np.clip(wanted / np.maximum(size, 1e-6), 1, config.growth)
    store.scales[slots] *= factor[:, None].astype(np.float32)


def split_coarse(
    store: GaussianStore, visible: Visibility, place: Place, config: MaintenanceConfig
) -> int:
    """Where the camera came closer or detail appeared: four Gaussians of half the size for one."""
    # 1 the coarsest for what is wanted at their place
    rows = _in_the_image(store, visible, place)
    rows = rows[~store.inferred[visible.slots[rows]]]
    size = store.scales[visible.slots[rows], 0] * place.seen.camera.fx / visible.z[rows]
    excess = size / place.density.spacing(visible.row[rows], visible.column[rows])
    coarse = np.flatnonzero(excess > config.coarse)
    coarse = coarse[np.argsort(-excess[coarse])][: min(config.per_frame, store.room // 3)]
    slots = visible.slots[rows[coarse]]
    if not len(slots):
        return 0
    # 2 their quarters
    fields = {name: np.repeat(getattr(store, name)[slots], 4, axis=0) for name in FIELDS}
    across, down = _tangents(fields["quats"])
    sign = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], np.float32)
    offset = np.tile(sign, (len(slots), 1)) * (0.8 * fields["scales"][:, :1])
    fields["means"] += offset[:, :1] * across + offset[:, 1:] * down
    fields["scales"] *= np.float32(0.5)
    store.remove(slots)
    store.add(fields)
    return len(slots)


def evict(
    store: GaussianStore, shown: np.ndarray, frame: int, fps: float, config: MaintenanceConfig
) -> int:
    """Keep room for what comes into view: the least observed and longest unseen go first.

    Args:
        shown: (n,) int64 slots on the surface that the camera sees; they stay.
        frame: number of the current frame.
        fps: frames per second.
    """
    missing = int(config.room * store.capacity) - store.room
    if missing <= 0:
        return 0
    age = (frame - store.view("seen")) / fps
    worth = store.view("weights") * np.exp(-age / config.memory)
    worth[shown] = np.inf
    worth[(store.view("born") == frame) | ~store.alive] = np.inf
    candidates = np.flatnonzero(np.isfinite(worth))
    count = min(missing, len(candidates))
    if count:
        chosen = np.argpartition(worth[candidates], count - 1)[:count]
        store.remove(candidates[chosen])
    return count


def drop_idle_nodes(store: GaussianStore, graph: DeformationGraph) -> np.ndarray | None:
    """Make room for nodes once most are taken: those that carry no Gaussian go.

    Returns:
        The new number of every old node, -1 where it is gone; None where nothing changed.
    """
    if graph.count < 0.8 * graph.config.capacity:
        return None
    used = np.zeros(graph.count, bool)
    alive = store.alive
    used[store.view("node_index")[alive].ravel()] = True
    renumbered = graph.keep(used)
    store.view("node_index")[:] = np.maximum(renumbered[store.view("node_index")], 0)
    return renumbered


def _tangents(quats: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) first and second axes of unit quaternions w x y z."""
    w, x, y, z = quats.T
    first = np.stack([1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)], axis=1)
    second = np.stack([2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)], axis=1)
    return first, second
