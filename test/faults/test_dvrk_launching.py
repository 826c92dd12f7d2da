"""What the arguments of `dvrk.launch.py` mean; the file itself needs an installed ROS 2."""

from __future__ import annotations

from pathlib import Path

import pytest

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.nodes.node import dvrk, launching

SHARE = Path(__file__).resolve().parents[2]
DEFAULTS = {name: default for name, (default, _) in dvrk.ARGUMENTS.items()}


def planned(**arguments: str) -> launching.Plan:
    """What the pipeline's launch file makes of it."""
    value = {name: default for name, (default, _) in launching.ARGUMENTS.items()}
    handed_on = dvrk.arguments_of(DEFAULTS | arguments)
    assert handed_on.keys() <= value.keys()
    return launching.plan(value | handed_on, SHARE, {})


@pytest.mark.parametrize(
    ("layout", "left", "right"),
    [
        ("two_topics", "/green/left", "/green/right"),
        ("two_topics_camera", "/green/left/camera", "/green/right/camera"),
    ],
)
def test_two_topics_are_the_eyes_of_the_rig(layout, left, right):
    plan = planned(rig="/green/", layout=layout)
    topics = dict(plan.remappings)
    assert topics["image_raw"] == f"{left}/image_raw"
    assert topics["right/image_raw"] == f"{right}/image_raw"
    assert "image_layout" not in plan.overrides


def test_side_by_side_is_one_topic_that_the_node_cuts():
    plan = planned(layout="side_by_side")
    assert dict(plan.remappings)["image_raw"] == "/jhu_daVinci/image_raw"
    assert plan.overrides["image_layout"] == "side_by_side"


def test_a_pose_of_the_optical_centre_gives_metres_unless_told_otherwise():
    assert "scale_source" not in planned().overrides
    plan = planned(optical_centre="/ECM/optical_centre")
    assert dict(plan.remappings)["endoscope_pose"] == "/ECM/optical_centre"
    assert plan.overrides["scale_source"] == "kinematics"
    other = planned(optical_centre="/ECM/optical_centre", scale_source="stereo")
    assert other.overrides["scale_source"] == "stereo"


def test_arguments_of_the_pipeline_are_handed_on():
    assert planned(view="true", device="cpu", namespace="one").node == "/one/endosfm3d"
    assert not set(dvrk.DECIDED) & dvrk.ARGUMENTS.keys()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [("layout", "interlaced", "accepted are two_topics,"), ("rig", "/", "stereo_rig_name")],
)
def test_what_makes_no_sense_is_refused(name, value, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        planned(**{name: value})


def test_unknown_arguments_are_refused_with_the_nearest():
    command = ["ros2", "launch", "endosfm3d_ros", dvrk.FILE]
    with pytest.raises(ConfigurationError, match="'rigg': did you mean 'rig'"):
        launching.refuse_unknown_arguments(["rigg:=x"], command, dvrk.FILE, dvrk.ARGUMENTS)
