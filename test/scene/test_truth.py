"""Instruments, clearance and the complete cloud against exact truth, on a simulated clip."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.spatial import cKDTree

from endosfm3d_ros.datasets.clips.sequence import ClipSequence
from endosfm3d_ros.datasets.clips.writer import write_clip
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.evaluation.evaluate import EvaluationConfig, evaluate
from endosfm3d_ros.evaluation.runs.given_masks import GivenMasks
from endosfm3d_ros.evaluation.runs.tools import ToolsProtocol
from endosfm3d_ros.geometry.clouds import lift
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.scene.complete import complete_cloud
from endosfm3d_ros.tissue.config import TissueConfig
from endosfm3d_ros.tools.stage import ToolsConfig
from endosfm3d_ros.types import CloudLabel

FRAMES = 8


@pytest.fixture(scope="module")
def simulated():
    return SimulatedSequence("instruments", frames=FRAMES, width=640, height=512)


@pytest.fixture(scope="module")
def clip(simulated, tmp_path_factory):
    folder = tmp_path_factory.mktemp("truth") / "instruments"
    write_clip(simulated, folder)
    return ClipSequence(folder)


def stages(clip):
    return PipelineConfig(
        tools=ToolsConfig("topic", "mesh", str(clip.folder / "tools"), in_background=False),
        tissue=TissueConfig(),
        tissue_budget=0.1,
    )


def test_meshes_are_found_and_clearance_is_right_where_it_is_valid(clip):
    config = EvaluationConfig(
        what=("tools",),
        pipeline=stages(clip),
        tools=ToolsProtocol("mesh", str(clip.folder / "tools")),
        given_masks=True,
    )
    scores = evaluate(clip, config).as_json()["tools"]
    assert scores["iou_mean"] > 0.97
    assert scores["pose_err_mm"] < 2 and scores["pose_err_deg"] < 5
    assert scores["clearance_valid_share"] > 0.2  # elsewhere the nearest tissue was never seen
    assert scores["clearance_err_mm"] < 1.5
    assert scores["bound_violations"] == 0
    assert scores["phantom_frames"] == 0


def test_the_complete_cloud_covers_everything_seen_so_far(simulated, clip):
    """The camera rests, so what was seen of the tissue is the union of what no tool hid."""
    pipeline, seen = Pipeline(stages(clip)), np.zeros((512, 640), bool)
    for i, frame in enumerate(GivenMasks(clip)):
        update = pipeline.process(frame)
        seen |= cv2.dilate(clip.instances(i), np.ones((11, 11))) == 0
    pipeline.close()
    cloud = complete_cloud(update, 200_000)
    tissue = cloud.points[cloud.labels < CloudLabel.TOOL]
    truth = lift(simulated.tissue_depth(FRAMES - 1), simulated.camera)[seen][::7]
    distance, _ = cKDTree(tissue).query(truth)
    assert (distance < 0.002).mean() > 0.95
    hidden = seen & (clip.instances(FRAMES - 1) > 0)
    assert hidden.sum() > 100  # some of it is behind a tool now
    behind = lift(simulated.tissue_depth(FRAMES - 1), simulated.camera)[hidden]
    assert (cKDTree(tissue).query(behind)[0] < 0.002).mean() > 0.9
    for tool, pose in simulated.tool_poses(FRAMES - 1).items():
        mesh = simulated.tool_meshes()[tool].vertices @ pose[:3, :3].T + pose[:3, 3]
        pixels = simulated.camera.project(mesh)
        shown = ((pixels >= 0) & (pixels < simulated.camera.size)).all(axis=1) & (mesh[:, 2] > 0)
        near, _ = cKDTree(cloud.points[cloud.labels >= CloudLabel.TOOL]).query(mesh[shown])
        assert (near < 0.002).mean() > 0.9
