"""Moving the map: graph nodes, and the Gaussians that they carry."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_matrix

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.tissue.deformation.graph import DeformationGraph
from endosfm3d_ros.tissue.store.gaussians import GaussianStore


def expected_step(
    graph: DeformationGraph, interval: float, T_map_camera: np.ndarray, metric: bool
) -> np.ndarray:
    """(M, 3) metres that the nodes should move until the next frame.

    Without metric depth the map as a whole stays at its distance: depth that is scaled to fit the
    map cannot contradict a map that moves as a whole.

    Args:
        graph: with its velocities.
        interval: seconds.
        T_map_camera: 4x4.
        metric: whether depth has a scale of its own.
    """
    step = graph.predict(interval)
    if metric:
        return step
    axis = T_map_camera[:3, 2]
    return step - float(np.median(step @ axis)) * axis


def displace(
    store: GaussianStore, graph: DeformationGraph, skin: csr_matrix, step: np.ndarray
) -> None:
    """Move nodes by (M, 3) metres, and the Gaussians with them."""
    graph.move(step)
    store.view("means")[:] += (skin @ step).astype(np.float32)


def move_as_a_whole(store: GaussianStore, graph: DeformationGraph, T: np.ndarray) -> None:
    """Every node and Gaussian by one rigid motion (4x4 in the map frame)."""
    nodes, means = graph.positions, store.view("means")
    graph.move(se3.transform(T, nodes) - nodes)
    means[:] = se3.transform(T, means)
