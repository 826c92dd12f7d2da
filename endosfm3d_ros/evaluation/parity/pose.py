"""Pose and intrinsics network against `endosfm3d_pose.npz`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from endosfm3d_ros.evaluation.parity import engines
from endosfm3d_ros.evaluation.parity.check import Check, absolute, close, mean_std, scaled
from endosfm3d_ros.evaluation.parity.golden import GoldenArrays, GoldenFolder
from endosfm3d_ros.networks.camera_motion import (
    intrinsics_from_q,
    motion_matrix,
    released_intrinsics,
)
from endosfm3d_ros.networks.checkpoints import pose_network
from endosfm3d_ros.networks.pose import PoseNetwork

NEIGHBOURS = ("m1", "p1")  # the frame before and the frame after
PIXELS = 1e-3  # tolerance of a camera matrix


def network_pair(source: Tensor, target: Tensor) -> Tensor:
    """(1, 6, H, W) input: the neighbour first, the frame whose depth is predicted second."""
    return torch.cat([source, target], dim=1)


def checks(folder: GoldenFolder) -> Iterator[Check]:
    """All checks of the pose network."""
    golden = folder.arrays("endosfm3d_pose")
    weights = folder.weights("pose_encoder"), folder.weights("pose")
    network = pose_network(*weights, "golden weights")
    target = golden.image("image_0_u8")
    with torch.no_grad():
        for frame in NEIGHBOURS:
            pair = network_pair(golden.image(f"image_{frame}_u8"), target)
            yield from encoder_checks(network, pair, golden, frame)
            yield from output_checks(network, pair, golden, frame)
    yield from engines.pose_checks(network, pair, golden, frame)


def encoder_checks(
    network: PoseNetwork, pair: Tensor, golden: GoldenArrays, frame: str
) -> Iterator[Check]:
    """Feature maps and attention maps."""
    features, attention = network.encoder(pair)
    for i, feature in enumerate(features):
        name = f"feat{i}_{frame}_mean_std"
        yield scaled(name, mean_std(feature), golden[name])
    if f"feat4_{frame}" in golden:  # stored for one neighbour only
        yield scaled(f"feat4_{frame}", features[4], golden[f"feat4_{frame}"])
        for layer, weights in attention.items():
            name = f"attention_{layer}_{frame}"
            yield scaled(name, weights, golden[name])


def output_checks(
    network: PoseNetwork, pair: Tensor, golden: GoldenArrays, frame: str
) -> Iterator[Check]:
    """Motion and camera matrix, as released and as this package publishes it."""
    height, width = pair.shape[-2:]
    axisangle, translation, q = network(pair)
    for name, vector in (("axisangle", axisangle), ("translation", translation)):
        expected = golden[f"{name}_{frame}"][:, 0, 0]  # the first of two slots is used
        yield close(f"{name}_{frame}", vector, expected, rtol=1e-4, atol=1e-7)
    for name, invert in (("T", False), ("T_inverted", True)):
        T = motion_matrix(axisangle, translation, invert)
        yield close(f"{name}_{frame}", T, golden[f"{name}_{frame}"], rtol=1e-4, atol=1e-7)
    K = released_intrinsics(q, width, height)
    yield absolute(f"K_{frame}", K, golden[f"K_{frame}"], PIXELS)
    yield scaled(f"K_inv_{frame}", torch.linalg.inv(K), golden[f"K_inv_{frame}"])
    expected = golden[f"K_{frame}"][:, :3, :3].copy()
    expected[:, [0, 1], [1, 0]] = 0  # published without the ln 2 px off the diagonal
    ours = intrinsics_from_q(q, width, height)
    yield absolute(f"K_published_{frame}", ours, expected, PIXELS)
