"""Where the map grows: over the whole first image, later where tissue comes into view."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.tissue.appearance.rendering import Rendering, empty_view
from endosfm3d_ros.tissue.appearance.visibility import Visibility
from endosfm3d_ros.tissue.coverage.densification import (
    DensificationConfig,
    Place,
    Surface,
    densify,
    surface_of,
    uncovered,
)
from endosfm3d_ros.tissue.coverage.fusion import measured_support
from endosfm3d_ros.tissue.deformation.graph import DeformationGraph
from endosfm3d_ros.tissue.observation import DepthNoise
from endosfm3d_ros.tissue.store.gaussians import GaussianStore


def seed(
    store: GaussianStore, graph: DeformationGraph, place: Place, config: DensificationConfig
) -> None:
    """Fill an empty map from its first image, which has some depth; fill in what tools hide."""
    seen = place.seen
    everywhere = np.ones_like(seen.color)
    surface = surface_of(seen, empty_view(seen.camera), ~everywhere, everywhere, config)
    densify(store, graph, surface, seen.color, place, config)
    densify(store, graph, surface, ~seen.color, place, config, inferred=True)


def grow(
    store: GaussianStore,
    graph: DeformationGraph,
    view: Rendering,
    visible: Visibility,
    place: Place,
    noise: DepthNoise,
    config: DensificationConfig,
) -> None:
    """New Gaussians where tissue is seen that the map has not, inferred ones where none is seen.

    Args:
        store: the map.
        graph: carries it.
        view: the map from this place.
        visible: of that view, measurements merged.
        place: image and pose.
        noise: of the depth.
        config: how dense, and how often places that stay hidden are looked for.
    """
    seen = place.seen
    certain = measured_support(store, visible, seen.color.shape)
    wanted = uncovered(view, seen, certain, noise, config)
    hidden = (view.alpha < config.covered) & ~seen.color
    if place.frame % config.infer_every:
        hidden[:] = False
        if wanted.mean() < config.worth_growing:
            return
    surface = surface_of(seen, view, certain, wanted | hidden, config)
    if surface is None:
        return
    reinpaint(store, visible, surface, place)
    densify(store, graph, surface, wanted, place, config, False, config.per_frame)
    densify(store, graph, surface, hidden, place, config, True, config.per_frame)


def reinpaint(store: GaussianStore, visible: Visibility, surface: Surface, place: Place) -> None:
    """Move guesses along their rays to what the depth known now leads to expect there."""
    rows = (
        visible.surface
        & store.guessed[visible.slots]
        & surface.guessed[visible.row, visible.column]
    )
    slots = visible.slots[rows]
    step = surface.depth[visible.row[rows], visible.column[rows]] / visible.z[rows] - 1
    centre = place.T_map_camera[:3, 3].astype(np.float32)
    store.means[slots] += step[:, None] * (store.means[slots] - centre)
