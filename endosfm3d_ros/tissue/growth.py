"""Where the map grows: over the whole first image, later where tissue comes into view."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.tissue.densification import (
    DensificationConfig,
    Place,
    densify,
    surface_of,
    uncovered,
)
from endosfm3d_ros.tissue.fusion import DepthNoise
from endosfm3d_ros.tissue.gaussians import GaussianStore
from endosfm3d_ros.tissue.graph import DeformationGraph
from endosfm3d_ros.tissue.rendering import Rendering, empty_view


def seed(
    store: GaussianStore, graph: DeformationGraph, place: Place, config: DensificationConfig
) -> None:
    """Fill an empty map from its first image, which has some depth; fill in what tools hide."""
    seen = place.seen
    surface = surface_of(seen, empty_view(seen.camera), np.ones_like(seen.color), config)
    densify(store, graph, surface, seen.color, place, config)
    densify(store, graph, surface, ~seen.color, place, config, inferred=True)


def grow(
    store: GaussianStore,
    graph: DeformationGraph,
    view: Rendering,
    place: Place,
    noise: DepthNoise,
    config: DensificationConfig,
) -> None:
    """New Gaussians where tissue is seen that the map has not, inferred ones where none is seen.

    Args:
        store: the map.
        graph: carries it.
        view: the map from this place.
        place: image and pose.
        noise: of the depth.
        config: how dense, and how often gaps are looked for: filling them is the costly part.
    """
    seen = place.seen
    wanted = uncovered(view, seen, noise, config)
    hidden = (view.alpha < config.covered) & ~seen.color
    if place.frame % config.infer_every:
        hidden[:] = False
        known = np.isfinite(seen.depth) | np.isfinite(view.depth)
        wanted &= known | ((wanted & ~known).sum() > config.worth_filling)
    surface = surface_of(seen, view, wanted | hidden, config)
    if surface is not None:
        densify(store, graph, surface, wanted, place, config, False, config.per_frame)
        densify(store, graph, surface, hidden, place, config, True, config.per_frame)
