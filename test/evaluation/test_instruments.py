"""Scores of instruments against the truth of the simulator."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.evaluation.metrics.instruments import InstrumentScores, jaws_axis
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.tools.articulated.family import FAMILY, JAW
from endosfm3d_ros.tools.articulated.model import jointed_model
from endosfm3d_ros.tools.stage import PlacedTool
from endosfm3d_ros.tools.tracking.types import ToolTracks, TrackedTool
from endosfm3d_ros.tools.types import ToolPlacement

GRASPER, BEND, OPENING = 1, 0.25, 0.30  # label, radians, radians of each jaw


@pytest.fixture(scope="module")
def clip() -> SimulatedSequence:
    return SimulatedSequence("instruments", frames=2, width=320, height=256, fps=5)


def an_update(clip, joints, trusted=True, mask=None):
    """The grasper as a jointed model in its true pose, with these joints."""
    model, pose = jointed_model(FAMILY[0], 0.008), clip.tool_poses(0)[GRASPER]
    labels = clip.instances(0) == GRASPER if mask is None else mask
    placement = ToolPlacement(
        pose[:3, :3], pose[:3, 3], 1.0, 0.9, np.eye(6), 0.01, trusted, joints=np.array(joints),
        full_covariance=np.eye(9),
    )  # fmt: skip
    track = TrackedTool(GRASPER, labels, (0, 0, 9, 9), 1.0, 0, False)
    none = np.zeros_like(labels)
    tracks = ToolTracks((track,), labels.astype(np.uint8), none, none, (), (), 0)
    tools = SimpleNamespace(tools=(PlacedTool(track, model.at(placement.joints), placement, 1),),
                            tracks=tracks)  # fmt: skip
    relative = SimpleNamespace(scale="relative", camera=clip.camera)
    return SimpleNamespace(
        tools=tools, depth=relative, tissue=None, labels=tracks.labels,
        pose=SimpleNamespace(state=None),
    )  # fmt: skip


def scored(clip, update) -> dict[str, float]:
    scores = InstrumentScores()
    scores.add(0, clip, update)
    return scores.values()


def test_the_true_joints_have_no_error_and_cover_the_jaws(clip):
    values = scored(clip, an_update(clip, (BEND, OPENING, -OPENING)))
    assert values["tip_err_mm"] < 0.3
    assert values["jaw_err_deg"] < 0.1 and values["wrist_err_deg"] < 0.1
    assert values["distal_iou"] > 0.9
    assert values["phantom_frames"] == 0 and values["tracked_share"] == 0.5  # of two


def test_errors_of_joints_are_stated_in_degrees(clip):
    joints = (BEND + 0.1, OPENING + 0.05, -OPENING)
    values = scored(clip, an_update(clip, joints))
    assert values["jaw_err_deg"] == pytest.approx(np.degrees(0.05), abs=0.1)
    turned = np.hypot(0.1 * np.cos(0.025), 0.025)
    assert values["wrist_err_deg"] == pytest.approx(np.degrees(turned), abs=0.1)
    assert values["distal_iou"] < 0.9


def test_a_trusted_tool_where_there_is_none_is_a_phantom(clip):
    free = np.zeros((256, 320), bool)
    free[:20, :20] = clip.instances(0)[:20, :20] == 0
    joints = (BEND, OPENING, -OPENING)
    assert scored(clip, an_update(clip, joints, mask=free))["phantom_frames"] == 1
    assert scored(clip, an_update(clip, joints, trusted=False, mask=free))["phantom_frames"] == 0


def test_the_simulator_says_where_the_jaws_end(clip):
    """The tips are on the mesh, and in front of everything else of it along the jaws."""
    posture = clip.tool_postures(0)[GRASPER]
    mesh = se3.transform(clip.tool_poses(0)[GRASPER], clip.tool_meshes()[GRASPER].vertices)
    along = (mesh - posture.tip) @ posture.axis
    assert abs(along.max()) < 0.0015
    assert posture.opening == pytest.approx(2 * OPENING)


def test_the_axis_of_the_jaws_is_that_of_the_linkage():
    linkage = jointed_model(FAMILY[0], 0.008).linkage
    turns, _ = linkage.links(np.array([0.4, 0.3, 0.3]))
    np.testing.assert_allclose(jaws_axis(0.4, 0.3), turns[JAW][:, 2], atol=1e-12)
