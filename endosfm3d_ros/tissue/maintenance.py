"""Keeping the map within its caps: crowds thinned, coarse Gaussians split, the rest evicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tissue.fusion import Sight
from endosfm3d_ros.tissue.gaussians import FIELDS, GaussianStore
from endosfm3d_ros.tissue.graph import DeformationGraph
from endosfm3d_ros.tissue.rendering import Rendering


@dataclass(frozen=True)
class MaintenanceConfig:
    """Lengths in pixels of the working image (320 wide)."""

    cell: float = 2.0  # side of the cells that crowds are counted in
    crowd: int = 2  # Gaussians on the surface in one cell; more are thinned
    fine: float = 1.25  # standard deviation that those left over in a crowd grow to ...
    growth: float = 1.2  # ... by this factor at a time
    coarse: float = 2.1  # standard deviation above which one is split into four ...
    per_frame: int = 600  # ... so many each frame
    room: float = 0.1  # share of the capacity that is kept free for what comes into view
    memory: float = 60.0  # seconds after which what is out of view is worth a third


def maintain(
    store: GaussianStore,
    graph: DeformationGraph,
    view: Rendering,
    sight: Sight,
    camera: PinholeCamera,
    frame: int,
    fps: float,
    config: MaintenanceConfig,
) -> np.ndarray | None:
    """All of it, after every frame; splitting and thinning take turns.

    Returns:
        As `drop_idle_nodes`.
    """
    if frame % 2:
        split_coarse(store, sight, camera, config)
    else:
        thin_crowds(store, sight, view.pixels, camera, config)
    evict(store, sight.slots[sight.surface], frame, fps, config)
    return drop_idle_nodes(store, graph)


def thin_crowds(
    store: GaussianStore,
    sight: Sight,
    pixels: np.ndarray,
    camera: PinholeCamera,
    config: MaintenanceConfig,
) -> int:
    """Where compression or a retreating camera piled Gaussians up: fewer and larger ones.

    The least observed of every crowded cell go, those that stay grow to cover for them.

    Args:
        store: the map.
        sight: what the view shows.
        pixels: (N, 2) of every slot in that view.
        camera: of the view.
        config: what a crowd is.

    Returns:
        How many were removed.
    """
    rows = np.flatnonzero(sight.surface & (store.opacities[sight.slots] > 0))
    slots = sight.slots[rows]
    cell = np.floor(pixels[slots] / config.cell).astype(np.int64)
    key = cell[:, 1] * 100_000 + cell[:, 0]
    order = np.lexsort((-store.weights[slots], key))
    key = key[order]
    first = np.concatenate([[True], key[1:] != key[:-1]])[: len(key)]
    start = np.maximum.accumulate(np.where(first, np.arange(len(key)), 0))
    surplus = np.arange(len(key)) - start >= config.crowd
    _enlarge(
        store, slots[order[start[surplus]]], rows[order[start[surplus]]], sight, camera, config
    )
    store.remove(slots[order[surplus]])
    return int(surplus.sum())


def _enlarge(
    store: GaussianStore,
    slots: np.ndarray,
    rows: np.ndarray,
    sight: Sight,
    camera: PinholeCamera,
    config: MaintenanceConfig,
) -> None:
    """Let Gaussians grow by a step, up to the size that covers a cell."""
    size = store.scales[slots, 0] * camera.fx / sight.z[rows]
    factor = np.clip(config.fine / np.maximum(size, 1e-6), 1, config.growth)
    store.scales[slots] *= factor[:, None].astype(np.float32)


def split_coarse(
    store: GaussianStore, sight: Sight, camera: PinholeCamera, config: MaintenanceConfig
) -> int:
    """Where the camera came closer: four Gaussians of half the size for one."""
    slots = sight.slots[sight.surface]
    size = store.scales[slots, 0] * camera.fx / sight.z[sight.surface]
    usable = (store.opacities[slots] > 0) & ~store.inferred[slots]
    slots = slots[usable & (size > config.coarse)][: config.per_frame]
    slots = slots[: store.room // 3]
    if not len(slots):
        return 0
    rows = {name: np.repeat(getattr(store, name)[slots], 4, axis=0) for name in FIELDS}
    across, down = _tangents(rows["quats"])
    sign = np.array([[-1, -1], [1, -1], [-1, 1], [1, 1]], np.float32)
    offset = np.tile(sign, (len(slots), 1)) * (0.8 * rows["scales"][:, :1])
    rows["means"] += offset[:, :1] * across + offset[:, 1:] * down
    rows["scales"] *= np.float32(0.5)
    store.remove(slots)
    store.add(rows)
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
