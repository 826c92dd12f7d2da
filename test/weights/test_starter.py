"""The starter set as it lies in the package: complete, described, small, and the last choice."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.networks.student_checkpoints import (
    load_depth_student,
    load_pose_student,
    load_tool_student,
)
from endosfm3d_ros.sfm.endosfm3d.engines import depth_recipe, pose_recipe
from endosfm3d_ros.sfm.endosfm3d.weights import find_weights
from endosfm3d_ros.tools.segmentation.card import find_model

STARTER = Path(str(files("endosfm3d_ros"))) / "weights" / "starter"
LIMIT = 25 << 20  # bytes of all weights in the package


@pytest.fixture(autouse=True)
def nobody_installed_anything(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    for name in ("ENDOSFM3D_WEIGHTS", "ENDOSFM3D_TOOLS"):
        monkeypatch.delenv(name, raising=False)


def test_every_file_has_a_card():
    weights = sorted(STARTER.glob("*.safetensors"))
    assert {"depth", "pose", "segmentation"} == {path.stem for path in weights}
    assert sum(path.stat().st_size for path in weights) < LIMIT
    for path in weights:
        card = json.loads(path.with_suffix(".json").read_text())
        assert card["licence"] == "Apache-2.0"
        assert card["command"].startswith("endosfm3d train ")
        for entry in ("data", "rendered", "schedule", "minutes", "hardware", "metrics", "limits"):
            assert card[entry], f"{path.stem}: {entry}"


def test_it_is_what_runs_where_nothing_else_is_installed():
    found = find_weights()
    assert found.folder == STARTER and found.is_student
    assert "no scale" in found.note
    assert depth_recipe(found).name == "depth-student-128x160"
    assert found.has_pose and pose_recipe(found).name == "pose-student-128x160"
    model, card = find_model()
    assert model.parent == STARTER and card.network == "unet"


def lit_from_the_camera(near, far):
    """(H, W, 3) uint8 tissue on a slope that falls away to the right, and its depth."""
    depth = np.broadcast_to(np.linspace(near, far, 160), (128, 160))
    noise = 0.8 + 0.2 * np.random.default_rng(0).random((128, 160))
    light = (near / depth) ** 2 * noise
    colour = np.array([0.75, 0.4, 0.35])
    return (255 * (light[..., None] * colour) ** (1 / 2.2)).astype(np.uint8), depth


def test_depth_follows_the_light_of_the_lamp():
    network = load_depth_student(STARTER / "depth.safetensors")
    image, depth = lit_from_the_camera(0.05, 0.12)
    with torch.inference_mode():
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
        logit, log_error = network(tensor)
    found = -logit[0, 0].numpy()  # rises with depth
    assert np.corrcoef(found.mean(axis=0), depth[0])[0, 1] > 0.9
    assert np.isfinite(log_error.numpy()).all()


def test_a_camera_that_turns_is_seen_to_turn():
    """By 2 degrees about the vertical and 3 about its axis, over tissue far away."""
    rng = np.random.default_rng(0)
    blobs = cv2.GaussianBlur(rng.random((192, 240, 3)), (0, 0), 3)
    wide = 0.5 + 0.8 * (blobs - blobs.mean()) / blobs.std() / 4
    wide = np.clip(wide * [0.9, 0.5, 0.4], 0, 1).astype(np.float32)
    K = np.array([[131.0, 0, 79.5], [0, 131.0, 63.5], [0, 0, 1]])
    R = se3.from_vectors(np.radians([0, 2, 3]), np.zeros(3))[:3, :3]
    inner = np.array([[1.0, 0, -40], [0, 1, -32], [0, 0, 1]])  # the middle of the wide image
    pair = [
        cv2.warpPerspective(wide, H @ inner, (160, 128))
        for H in (K @ R @ np.linalg.inv(K), np.eye(3))
    ]
    tensor = torch.from_numpy(np.concatenate(pair, axis=2)).permute(2, 0, 1)[None]
    network = load_pose_student(STARTER / "pose.safetensors", (128, 160))
    belief = torch.tensor([[np.log(131 / 160), 0.02, 79.5 / 160, 63.5 / 128, 1.0]])
    with torch.inference_mode():
        axisangle, translation, _ = network(tensor, belief.float())
    np.testing.assert_allclose(np.degrees(axisangle[0].numpy()), [0, 2, 3], atol=0.4)
    assert translation.norm() < 0.03


def test_a_grey_shaft_on_tissue_is_an_instrument():
    network = load_tool_student(STARTER / "segmentation.safetensors")
    image, _ = lit_from_the_camera(0.08, 0.09)
    y = np.arange(128)[:, None]
    across = (y - 64) / 16  # -1 .. 1 over the shaft
    shaft = (np.abs(across) < 1) & (np.arange(160) > 70)
    grey = 200 * np.sqrt(np.clip(1 - across**2, 0.05, 1)) * np.ones((1, 160))
    image[shaft] = grey[shaft][:, None].astype(np.uint8)
    with torch.inference_mode():
        tensor = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
        mask = network(tensor)[0][0, 0].numpy() > 0
    assert (mask & shaft).sum() / (mask | shaft).sum() > 0.6
