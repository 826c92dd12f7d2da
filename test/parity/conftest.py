"""A golden folder made here: the pose network alone, weights and outputs from a small rule."""

import json
import shutil

import numpy as np
import pytest
import torch

from endosfm3d_ros.networks import PoseNetwork, motion_matrix, released_intrinsics
from endosfm3d_ros.networks.checkpoint_keys import POSE_DECODER_KEYS, POSE_ENCODER_KEYS
from endosfm3d_ros.networks.checkpoints import pose_network

FILL = '''
"""Weights from (seed, tag, key, shape)."""
import math
import zlib
import numpy as np


def fill(shapes, seed, tag=""):
    return {key: value(f"{seed}:{tag}:{key}", tuple(shape)) for key, shape in shapes.items()}


def value(name, shape):
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.float32)
    noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, np.float32)
    if len(shape) < 2:
        return 1 + 0.1 * np.abs(noise) if name.endswith(("weight", "var")) else 0.05 * noise
    gain = 0.1 if "intrinsics_layers.4" in name else 1.4
    return (gain * noise / math.sqrt(math.prod(shape[1:]))).astype(np.float32)
'''


def load_fill(text):
    namespace = {}
    exec(text, namespace)
    return namespace["fill"]


def pose_shapes():
    """Shapes by published key of `pose_encoder.pth` and `pose.pth`."""
    tables = {"encoder": POSE_ENCODER_KEYS, "decoder": POSE_DECODER_KEYS}
    shapes = {"encoder": {}, "decoder": {}}
    for key, tensor in PoseNetwork().state_dict().items():
        part = key.partition(".")[0]
        shapes[part][tables[part].published(key)] = list(tensor.shape)
    return {"pose_encoder": shapes["encoder"], "pose": shapes["decoder"]}


def pose_arrays(seed):
    """What `endosfm3d_pose.npz` holds, computed in float64."""
    shapes, fill = pose_shapes(), load_fill(FILL)
    weights = [
        {k: torch.from_numpy(np.asarray(v)) for k, v in fill(shapes[name], seed, name).items()}
        for name in ("pose_encoder", "pose")
    ]
    network = pose_network(*weights, "test").double()
    rng = np.random.default_rng(seed)
    images = {f"image_{f}_u8": rng.integers(0, 256, (3, 256, 320), np.uint8) for f in FRAMES}
    inputs = {f: torch.from_numpy(images[f"image_{f}_u8"]).double()[None] / 255 for f in FRAMES}
    arrays = dict(images)
    for frame in FRAMES[1:]:
        pair = torch.cat([inputs[frame], inputs["0"]], dim=1)
        with torch.no_grad():
            axisangle, translation, q = network(pair)
            features, maps = network.encoder(pair)
        K = released_intrinsics(q, 320, 256)
        slots = torch.stack([axisangle, 7 + axisangle], dim=1)[:, :, None]
        arrays |= {
            f"axisangle_{frame}": slots,
            f"translation_{frame}": torch.stack([translation] * 2, dim=1)[:, :, None],
            f"K_{frame}": K,
            f"K_inv_{frame}": torch.linalg.inv(K),
            f"T_{frame}": motion_matrix(axisangle, translation),
            f"T_inverted_{frame}": torch.linalg.inv(motion_matrix(axisangle, translation)),
        }
        for i, feature in enumerate(features):
            moments = torch.stack([feature.mean(), feature.std(correction=0)])
            arrays[f"feat{i}_{frame}_mean_std"] = moments
        if frame == "m1":
            arrays["feat4_m1"] = features[4]
            arrays |= {f"attention_{name}_m1": value for name, value in maps.items()}
    return {name: np.asarray(value) for name, value in arrays.items()}


FRAMES = ("0", "m1", "p1")
SEED = 7


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    (folder / "manifest.json").write_text(json.dumps({"seed": SEED}))
    (folder / "fill.py").write_text(FILL)
    (folder / "shapes").mkdir()
    (folder / "shapes" / "endosfm3d.json").write_text(json.dumps(pose_shapes()))
    np.savez(folder / "endosfm3d_pose.npz", **pose_arrays(SEED))
    return folder


@pytest.fixture
def made(made_once, tmp_path):
    """A copy of the folder that a test may change."""
    return shutil.copytree(made_once, tmp_path / "golden")
