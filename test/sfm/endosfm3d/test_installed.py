"""The whole way once: published checkpoint files, ONNX, OpenVINO, depth and motion of images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from endosfm3d_ros.engines import EngineSettings
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.networks import (
    DepthNetwork,
    PoseNetwork,
    disparity_to_depth,
    intrinsics_from_q,
    motion_matrix,
)
from endosfm3d_ros.networks.checkpoint_keys import (
    DEPTH_KEYS,
    POSE_DECODER_KEYS,
    POSE_ENCODER_KEYS,
)
from endosfm3d_ros.networks.generated_weights import fill_with_generated_weights
from endosfm3d_ros.sfm.endosfm3d.source import EndoSfM3D, EndoSfM3DConfig
from endosfm3d_ros.types import Frame


@pytest.fixture(scope="module")
def networks():
    return tuple(fill_with_generated_weights(kind()) for kind in (DepthNetwork, PoseNetwork))


@pytest.fixture(scope="module")
def config(networks, tmp_path_factory):
    """A checkpoint folder as its authors publish it."""
    folder = tmp_path_factory.mktemp("official")
    depth, pose = (network.state_dict() for network in networks)
    parts = (
        ("depth_model.pth", depth, DEPTH_KEYS, ""),
        ("pose_encoder.pth", pose, POSE_ENCODER_KEYS, "encoder."),
        ("pose.pth", pose, POSE_DECODER_KEYS, "decoder."),
    )
    for name, state, table, prefix in parts:
        kept = {table.published(k): v for k, v in state.items() if k.startswith(prefix)}
        torch.save(kept, folder / name)
    cache = tmp_path_factory.mktemp("engines")
    return EndoSfM3DConfig(weights=str(folder), engines=EngineSettings(cache_dir=cache))


@pytest.fixture(scope="module")
def images():
    """Two images at network size, so that no resampling stands between them and the network."""
    return np.random.default_rng(0).integers(30, 220, (2, 256, 320, 3), np.uint8)


def tensor(image):
    return torch.from_numpy(image.transpose(2, 0, 1)).float()[None] / 255


@pytest.mark.slow
def test_source_answers_as_the_networks_do(config, networks, images):
    source = EndoSfM3D.installed(config)
    assert [engine.info.backend for engine in source.engines] == ["openvino", "openvino"]
    depth_network, pose_network = networks
    previous, current = images
    with torch.no_grad():
        disparity = depth_network(tensor(current))[0]
        pair = torch.cat([tensor(current), tensor(previous)], dim=1)
        axisangle, translation, q = pose_network(pair)
    depth = source.depth(current).depth
    np.testing.assert_allclose(depth, disparity_to_depth(disparity)[0, 0].numpy(), rtol=1e-4)
    motion = source.motion(previous, current)
    expected = motion_matrix(axisangle, translation)[0].numpy()
    np.testing.assert_allclose(motion.T_current_previous, expected, rtol=1e-4, atol=1e-6)
    K = intrinsics_from_q(q, 320, 256)[0].numpy()
    np.testing.assert_allclose(motion.camera.K, K, atol=1e-2)

    restored = EndoSfM3D.installed(config)
    assert all(engine.info.cached for engine in restored.engines)
    camera = PinholeCamera.default(320, 256)
    result = restored.estimate(Frame(stamp=1, image=current), camera)
    np.testing.assert_array_equal(result.depth, depth)
