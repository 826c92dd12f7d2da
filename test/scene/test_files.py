"""Files of a run: clouds, closed meshes, the map, pictures; what other programs read from them."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import trimesh

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.geometry.clouds import grid_triangles
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.scene.files import SceneFiles
from endosfm3d_ros.scene.film import BAND
from endosfm3d_ros.scene.ply import read_cloud
from endosfm3d_ros.tissue.config import TissueConfig
from endosfm3d_ros.tissue.map_file import load_map
from endosfm3d_ros.tools.stage import ToolsConfig
from endosfm3d_ros.types import CloudLabel

STEEL = (120, 125, 135)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A stereo clip with one shaft in it, through the whole pipeline into files."""
    folder = tmp_path_factory.mktemp("files")
    pipeline = Pipeline(
        PipelineConfig(
            tools=ToolsConfig("topic", in_background=False),
            tissue=TissueConfig(),
            tissue_budget=0.03,
        )
    )
    files, update = SceneFiles(folder, 5.0), None
    mask = np.zeros((256, 320), np.uint8)
    cv2.line(mask, (340, 230), (190, 140), 1, 34)
    for i, frame in enumerate(SimulatedSequence("moving", frames=5, width=320, height=256, fps=5)):
        left, right = frame.image.copy(), frame.right_image.copy()
        near = cv2.warpAffine(mask, np.float32([[1, 0, -25], [0, 1, 0]]), (320, 256))  # at 46 mm
        left[mask > 0], right[near > 0] = STEEL, STEEL
        shown = replace(frame, image=left, right_image=right, tool_labels=mask)
        update = pipeline.process(shown)
        files.add(i, update)
    counts = files.finish(update, pipeline.tissue)
    pipeline.close()
    assert counts["tools"] == 1 and counts["gaussians"] > 3000
    return folder


def test_the_scene_is_a_surface_and_closed_instruments(folder):
    scene = trimesh.load(folder / "scene.glb")
    assert set(scene.geometry) == {"tissue", "tool_1"}
    tool = scene.geometry["tool_1"]
    assert tool.is_watertight and tool.volume > 0
    low, high = scene.bounds
    assert low[2] > 0 and high[2] < 0.2  # in the map frame as the cloud, in metres
    own = trimesh.load(folder / "tool_1.ply")
    assert own.is_watertight
    assert sorted(own.extents)[0] == pytest.approx(0.008, rel=0.05)


def test_the_cloud_has_tissue_and_tool(folder):
    cloud = read_cloud(folder / "scene.ply")
    assert {CloudLabel.MEASURED, CloudLabel.TOOL + 1} <= set(cloud.labels.tolist())
    assert len(cloud.points) > 3000


def test_the_map_can_be_loaded_again(folder):
    assert load_map(folder / "map.npz").store.count > 3000
    assert (folder / "map.ply").stat().st_size > 100_000


def test_the_film_has_every_frame(folder):
    film = cv2.VideoCapture(str(folder / "film.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 5
    seen, frame = film.read()
    assert seen and frame.shape == (320 + 2 * BAND, 1200, 3)
    assert (folder / "contact_sheet.png").is_file()


def test_triangles_face_the_camera_and_stop_at_jumps():
    depth = np.full((4, 5), 0.05, np.float32)
    depth[:, 3:] = 0.08
    depth[0, 0] = np.nan
    faces = grid_triangles(depth)
    assert len(faces) == 2 * 3 * 3 - 1  # two columns left of the jump, one right; one lost corner
    rows, columns = np.divmod(faces, 5)
    a, b, c = (np.stack([columns[:, k], rows[:, k]], axis=1) for k in range(3))
    ab, ac = b - a, c - a
    assert (ab[:, 0] * ac[:, 1] - ab[:, 1] * ac[:, 0] < 0).all()  # y down: seen from the front
