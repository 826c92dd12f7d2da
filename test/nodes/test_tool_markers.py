"""Markers of instruments: their shape, what moves, and what is left behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import urlparse

import numpy as np
import pytest
import trimesh
from scipy.spatial.transform import Rotation
from visualization_msgs.msg import Marker

from endosfm3d_ros.nodes.messages.frames import FrameNames
from endosfm3d_ros.nodes.messages.marker_shapes import MAX_TRIANGLES
from endosfm3d_ros.nodes.messages.tools import ToolMarkers, tool_array
from endosfm3d_ros.tools.articulated.family import FAMILY
from endosfm3d_ros.tools.articulated.model import jointed_model
from endosfm3d_ros.tools.belief import Belief
from endosfm3d_ros.tools.stage import PlacedTool
from endosfm3d_ros.tools.tracking.types import TrackedTool
from endosfm3d_ros.tools.types import ToolModel, ToolPlacement
from endosfm3d_ros.types import ScaleSource

NAMES = FrameNames(camera="camera")


def a_model(mesh: trimesh.Trimesh) -> ToolModel:
    colors = np.full(mesh.vertices.shape, 150, np.uint8)
    return ToolModel(
        mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32), colors, "mesh", True
    )


@pytest.fixture(scope="module")
def rod() -> ToolModel:
    return a_model(trimesh.creation.cylinder(0.004, 0.1, sections=32))


def seen(**tools: tuple[ToolModel, float]) -> SimpleNamespace:
    """An update with tools `t<id>=(model, z)`."""
    placed = [
        PlacedTool(
            SimpleNamespace(id=int(name[1:])),
            model,
            ToolPlacement(np.eye(3), np.array([0, 0, z]), 1.0, 0.9, np.zeros((6, 6)), 0.0, True),
            1,
        )
        for name, (model, z) in tools.items()
    ]
    return SimpleNamespace(frame=SimpleNamespace(stamp=10**9), tools=SimpleNamespace(tools=placed))


def test_only_the_pose_changes_while_the_model_stays(rod):
    markers = ToolMarkers()
    first, second = (markers.array(seen(t1=(rod, z)), NAMES).markers[0] for z in (0.05, 0.07))
    assert first.points == second.points and len(first.points) == 3 * len(rod.faces)
    assert (first.pose.position.z, second.pose.position.z) == (0.05, 0.07)
    other = a_model(trimesh.creation.box((0.01, 0.01, 0.05)))
    third = markers.array(seen(t1=(other, 0.07)), NAMES).markers[0]
    assert len(third.points) == 3 * 12


def test_a_large_mesh_is_shown_whole_with_fewer_triangles():
    ball = a_model(trimesh.creation.icosphere(5, 0.01))
    marker = ToolMarkers().array(seen(t1=(ball, 0.05)), NAMES).markers[0]
    corners = np.array([(p.x, p.y, p.z) for p in marker.points]).reshape(-1, 3, 3)
    assert len(corners) <= 1.1 * MAX_TRIANGLES < len(ball.faces)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    area = np.linalg.norm(normals, axis=1).sum() / 2
    assert area == pytest.approx(4 * np.pi * 1e-4, rel=0.02)  # no holes


def test_files_are_written_once_and_removed(rod, tmp_path, monkeypatch):
    monkeypatch.setenv("ROS_HOME", str(tmp_path))
    markers = ToolMarkers("file")
    first, second = (markers.array(seen(t1=(rod, z)), NAMES).markers[0] for z in (0.05, 0.07))
    assert first.type == Marker.MESH_RESOURCE and not first.points
    assert first.mesh_resource == second.mesh_resource
    path = Path(urlparse(first.mesh_resource).path)
    assert path.parent == tmp_path / "endosfm3d"
    assert len(trimesh.load(path).faces) == len(rod.faces)
    gone = markers.array(seen(), NAMES).markers
    assert [(marker.id, marker.action) for marker in gone] == [(1, Marker.DELETE)]
    assert not path.exists()
    again = markers.array(seen(t1=(rod, 0.05)), NAMES).markers[0]
    assert again.mesh_resource != first.mesh_resource  # viewers remember a file by its name
    markers.close()
    assert not any(path.parent.iterdir())


def test_without_a_place_for_files_markers_carry_triangles(rod, tmp_path, monkeypatch):
    (tmp_path / "endosfm3d").write_text("a file is in the way")
    monkeypatch.setenv("ROS_HOME", str(tmp_path))
    marker = ToolMarkers("file").array(seen(t1=(rod, 0.05)), NAMES).markers[0]
    assert marker.type == Marker.TRIANGLE_LIST and marker.points


def test_each_link_of_a_jointed_model_is_a_marker_whose_shape_stays():
    """Jaws that open move; only their poses do, and all links go with the tool."""
    model = jointed_model(FAMILY[1], 0.008)
    markers = ToolMarkers()
    first, second = (
        markers.array(seen(t3=(model.at(np.array([0.2, a, -a])), 0.06)), NAMES).markers
        for a in (0.1, 0.5)
    )
    assert [(m.ns, m.id) for m in first] == [("tools/3", k) for k in range(4)]
    assert [m.points for m in first] == [m.points for m in second]
    moved = [a.pose != b.pose for a, b in zip(first, second)]
    assert moved == [False, False, True, True]
    corners = np.concatenate([_corners(marker) for marker in second])
    whole = model.at(np.array([0.2, 0.5, -0.5])).vertices + np.array([0, 0, 0.06])
    assert np.ptp(corners, axis=0) == pytest.approx(np.ptp(whole, axis=0), abs=1e-4)
    gone = markers.array(seen(), NAMES).markers
    assert {(m.ns, m.id, m.action) for m in gone} == {
        ("tools/3", k, Marker.DELETE) for k in range(4)
    }


def _corners(marker: Marker) -> np.ndarray:
    """(N, 3) corners of a marker's triangles in its header's frame."""
    q, p = marker.pose.orientation, marker.pose.position
    turn = Rotation.from_quat([q.x, q.y, q.z, q.w])
    corners = turn.apply([(c.x, c.y, c.z) for c in marker.points])
    return corners + np.array([p.x, p.y, p.z])


def test_joints_kind_and_confidence_are_in_the_message():
    model = jointed_model(FAMILY[1], 0.008)
    update = seen(t1=(model, 0.06))
    tool = update.tools.tools[0]
    joints = np.array([0.1, 0.3, -0.2])
    placement = replace(
        tool.placement, joints=joints, full_covariance=np.diag([0.0] * 6 + [0.04, 0.01, 0.01])
    )
    track = TrackedTool(1, np.zeros((2, 2), bool), (0, 0, 1, 1), 1.0, 0, False)
    belief = Belief(0.9, True)
    update.tools.tools[0] = PlacedTool(track, model.at(joints), placement, 1, belief)
    update.tools.mask_source, update.depth = "network", SimpleNamespace(scale=ScaleSource.STEREO)
    (message,) = tool_array(update, NAMES).tools
    assert list(message.joint_names) == ["wrist_pitch", "jaw_1", "jaw_2"]
    np.testing.assert_allclose(message.joint_positions, joints)
    np.testing.assert_allclose(message.joint_deviations, (0.2, 0.1, 0.1))
    assert (message.kind, message.model_source) == ("needle driver", "articulated")
    assert message.confidence == pytest.approx(0.9)
