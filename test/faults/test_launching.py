"""What launch arguments mean; the launch file itself is tested where launch is installed."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.nodes.node import launching
from endosfm3d_ros.nodes.node.parameter_table import BY_NAME

SHARE = Path(__file__).resolve().parents[2]


def planned(environment=None, **arguments):
    value = {name: default for name, (default, _) in launching.ARGUMENTS.items()} | arguments
    return launching.plan(value, SHARE, environment or {})


def test_without_arguments_nothing_overrides_the_parameter_file():
    """Row: params_file was overridden silently for depth_source, autostart, use_sim_time."""
    plan = planned()
    assert plan.overrides == {}
    assert plan.params_file == str(SHARE / "config" / "pipeline.yaml")
    assert plan.node == "/endosfm3d" and not plan.bag and not plan.rviz and not plan.respawn


@pytest.mark.parametrize("word", ["True", "true", "1", "yes", "ON"])
def test_every_spelling_of_true(word):
    """Row: `autostart:=True` did nothing, `tissue_map:=1` meant false."""
    plan = planned(autostart=word, tissue_map=word, use_sim_time=word, rviz=word, respawn=word)
    assert plan.overrides == {"autostart": True, "tissue_map": True, "use_sim_time": True}
    assert plan.rviz and plan.respawn and plan.sim_time


@pytest.mark.parametrize("word", ["False", "0", "no", "off"])
def test_every_spelling_of_false(word):
    plan = planned(autostart=word, tissue_map=word, large_messages=word)
    assert plan.overrides == {"autostart": False, "tissue_map": False}
    assert plan.environment == {"ENDOSFM3D_LARGE_MESSAGES": "false"}


@pytest.mark.parametrize("name", ["autostart", "rviz", "bag_loop", "large_messages", "respawn"])
def test_what_is_no_boolean_is_refused(name):
    with pytest.raises(ConfigurationError, match=f"{name}: 'maybe' is none of true"):
        planned(**{name: "maybe"})


def test_arguments_reach_the_node():
    plan = planned(device="cpu", scale_source="stereo", tools="off", depth_source="stereo")
    assert plan.overrides == {
        "device": "cpu", "scale_source": "stereo", "tools": "off", "depth_source": "stereo",
    }  # fmt: skip
    assert set(plan.overrides) <= set(BY_NAME)


def test_the_users_own_profile_is_kept():
    """Row: the user's own DDS profile was replaced."""
    ours = {"FASTRTPS_DEFAULT_PROFILES_FILE": str(SHARE / "config" / "fastdds.xml")}
    assert planned().environment == ours
    for name in ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"):
        assert planned({name: "/home/me/dds.xml"}).environment == {}


def test_files_must_be_there_and_home_is_expanded(tmp_path, monkeypatch):
    """Rows: a missing params file was a warning, a missing bag left the node waiting."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "my.yaml").write_text("/**:\n  ros__parameters:\n    map_frame: theirs\n")
    (tmp_path / "bag").mkdir()
    plan = planned(params_file="~/my.yaml", bag="~/bag", bag_loop="yes", bag_rate="0.5")
    assert plan.params_file == str(tmp_path / "my.yaml")
    assert plan.bag[3] == str(tmp_path / "bag") and "--loop" in plan.bag and "0.5" in plan.bag
    assert "--delay" not in plan.bag and plan.overrides == {"use_sim_time": True}
    for wrong in ({"params_file": "~/none.yaml"}, {"bag": "~/none"}):
        with pytest.raises(ConfigurationError, match="does not exist"):
            planned(**wrong)
    for rate in ("0", "-1", "fast", "nan"):
        with pytest.raises(ConfigurationError, match="bag_rate"):
            planned(bag="~/bag", bag_rate=rate)


def test_two_cameras_have_their_own_topics_and_frames(tmp_path):
    """Row: two launches shared topics and TF frames."""
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump({"/**": {"ros__parameters": {"map_frame": "world_map"}}}))
    plans = [
        planned(namespace=name, camera_ns=f"/{name}/left", params_file=str(path))
        for name in ("one", "two")
    ]
    assert plans[0].node == "/one/endosfm3d"
    frames = [set(plan.overrides.values()) for plan in plans]
    assert frames[0] == {
        "one/world_map", "one/endoscope_odom", "one/endoscope_left_optical_frame",
    }  # fmt: skip
    assert not frames[0] & frames[1]
    assert planned(namespace="/one/", camera_frame_id="mine").overrides["camera_frame_id"] == "mine"
    path.write_text("[broken")
    with pytest.raises(ConfigurationError, match="YAML"):
        planned(namespace="one", params_file=str(path))


def test_unknown_arguments_are_refused_with_the_nearest():
    own = ["ros2", "launch", "endosfm3d_ros", launching.FILE]
    with pytest.raises(ConfigurationError, match="'depht_source': did you mean 'depth_source'"):
        launching.refuse_unknown_arguments(["depht_source:=stereo"], own)
    launching.refuse_unknown_arguments(["depth_source:=stereo"], own)
    launching.refuse_unknown_arguments(["theirs:=1"], ["ros2", "launch", "other.launch.py"])


@pytest.mark.parametrize(
    "camera,right,expected",
    [
        ("/endoscope/left", "", "/endoscope/right"),
        ("/jhu_daVinci/left", "", "/jhu_daVinci/right"),
        ("/cam", "", "/cam/right"),
        ("/cam", "/other", "/other"),
    ],
)
def test_the_right_eye_is_beside_the_left(camera, right, expected):
    topics = dict(launching.remappings({
        "camera_ns": camera, "right_ns": right, "image_topic": "image_raw", "tool_mask": "",
        "depth_in": "depth_in", "endoscope_pose": "endoscope_pose",
    }))  # fmt: skip
    assert topics["right/image_raw"] == f"{expected}/image_raw"
    assert topics["tool_mask"] == f"{camera}/tool_mask"


def test_the_page_is_started_where_it_is_asked_for():
    assert planned().view == []
    wanted = planned(view="true", view_port="9000", namespace="one").view
    assert wanted == ["view", "--node", "/one/endosfm3d", "--port", "9000"]
    with pytest.raises(ConfigurationError, match="view_port '99999'"):
        planned(view="true", view_port="99999")
