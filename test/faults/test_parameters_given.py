"""Parameters as people write them: understood where plain, else one sentence and no traceback."""

from __future__ import annotations

import subprocess
import sys

import pytest
from rclpy.parameter import Parameter

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.nodes.node import parameter_table, parameters
from endosfm3d_ros.nodes.system.values import check_frames, meant, refuse_unknown


@pytest.mark.parametrize(
    "value,default,choices,expected",
    [
        (5, 1.0, (), 5.0),
        (4.0, 3, (), 4),
        (4.5, 3, (), 4.5),  # refused by its type
        (False, "auto", ("off", "auto"), "off"),
        (True, "true", ("true", "false", "inverted"), "true"),
        (True, "auto", ("auto", "cpu"), True),
        ("True", False, (), True),
        (0, True, (), False),
        (2, True, (), 2),
        ("maybe", True, (), "maybe"),
        (True, 1.0, (), True),
    ],
)
def test_values_are_taken_as_meant(value, default, choices, expected):
    """Row: YAML booleans and integers for doubles."""
    result = meant(value, default, choices)
    assert result == expected and type(result) is type(expected)


def test_parameters_set_later_are_taken_as_meant_too():
    given = [Parameter("cloud_rate", value=5), Parameter("use_sim_time", value=True)]
    assert [p.value for p in parameters.as_meant(given)] == [5.0, True]
    assert parameters.as_meant(given)[0].type_ == Parameter.Type.DOUBLE


def test_unknown_names_are_refused_with_the_nearest():
    refuse_unknown(["use_sim_time", "qos_overrides./tf.publisher.depth"], ["depth_source"])
    with pytest.raises(ConfigurationError, match="'dpeth_source': did you mean 'depth_source'"):
        refuse_unknown(["dpeth_source"], ["tools", "depth_source"])


@pytest.mark.parametrize(
    "change",
    [
        {"map_frame": ""}, {"odom_frame": "/odom"}, {"odom_frame": "map"}, {"map_frame": "a b"},
        {"camera_frame_id": "map"},
    ],
)  # fmt: skip
def test_frames_that_tf_cannot_use_are_refused(change):
    """Row: empty or equal frame names were accepted silently."""
    names = {"map_frame": "map", "odom_frame": "odom", "camera_frame_id": ""}
    check_frames(names)
    with pytest.raises(ConfigurationError):
        check_frames(names | change)


def test_weights_that_are_not_there_are_refused_whatever_the_depth_source():
    """Row: missing `weights` folder was accepted silently."""
    values = {spec.name: spec.default for spec in parameter_table.SPECS}
    with pytest.raises(ConfigurationError, match="no such folder"):
        parameters.pipeline_config(
            values | {"weights": "/nowhere", "depth_source": "stereo", "tools": "off"}
        )


@pytest.mark.parametrize(
    "arguments,sentence",
    [
        (("--params-file", "{folder}/none.yaml"), "none.yaml"),
        (("--params-file", "{folder}/broken.yaml"), "broken.yaml"),
        (("--log-level", "loud"), "loud"),
        (("--bogus", "1"), "unknown ROS arguments"),
        (("-p", "depht_source:=stereo"), "did you mean 'depth_source'"),
        (("-p", "max_points:=many"), "max_points"),
    ],
)
def test_a_wrong_start_is_one_sentence(tmp_path, arguments, sentence):
    """Row: broken YAML, wrong log level, missing params file were tracebacks."""
    (tmp_path / "broken.yaml").write_text("a: [b\n")
    command = [
        sys.executable,
        "-c",
        "from endosfm3d_ros.nodes.node.pipeline_node import main; main()",
    ]
    command += ["--ros-args", *(word.format(folder=tmp_path) for word in arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = [line for line in done.stderr.splitlines() if line.startswith("endosfm3d: ")]
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr and len(said) == 1 and sentence in said[0], done.stderr
