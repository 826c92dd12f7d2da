"""RViz and Foxglove show topics that there are, of types that their displays take."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from endosfm3d_ros.msg import ToolClearance
from geometry_msgs.msg import Point
from ruamel.yaml import YAML
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from endosfm3d_ros.nodes.messages.clearance_markers import ClearanceMarkers
from endosfm3d_ros.nodes.outputs.catalogue import all_topics

ROOT = Path(__file__).resolve().parents[2]
INPUT = {"/endoscope/left/image_raw": "Image"}  # as launched without arguments
STATUS = {"/endosfm3d/status": "PipelineStatus"}


def published() -> dict[str, str]:
    """{topic: type}."""
    own = {f"/endosfm3d/{name}": topic.kind.__name__ for name, topic in all_topics().items()}
    return own | INPUT | STATUS


def rviz() -> dict:
    return YAML(typ="safe").load((ROOT / "config" / "endoscope.rviz").read_text())


def test_every_rviz_display_has_a_topic_of_its_type():
    displays = [d for d in rviz()["Visualization Manager"]["Displays"] if "Topic" in d]
    assert len(displays) >= 8
    for display in displays:
        kind = display["Class"].rpartition("/")[2]
        assert published()[display["Topic"]["Value"]] == kind, display["Name"]


def test_rviz_is_at_home_in_a_frame_that_is_published():
    assert rviz()["Visualization Manager"]["Global Options"]["Fixed Frame"] == "endoscope_map"


def test_every_topic_of_the_foxglove_layout_is_published():
    text = (ROOT / "config" / "foxglove_layout.json").read_text()
    layout = json.loads(text)
    topics = set(re.findall(r"\"(/endo[a-z0-9_/]+)", text))
    assert len(topics) >= 9 and topics <= published().keys()
    panels = set(re.findall(r"\"(?:first|second)\": \"([^\"]+)\"", text))
    assert panels == layout["configById"].keys()


class Update:
    """Of an update what markers look at: one tool with two surface points."""

    def __init__(self, *ids: int) -> None:
        points = np.array([[0, 0, 0.04], [0, 0, 0.045]])
        model = type("Model", (), {"surface": type("S", (), {"points": points})})
        place = type("Placement", (), {"points": staticmethod(lambda p: p)})
        tool = lambda i: type("T", (), {  # noqa: E731
            "track": type("Track", (), {"id": i}), "placement": place, "model": model})  # fmt: skip
        self.tools = type("View", (), {"tools": tuple(tool(i) for i in ids)})


def said(valid: bool, bound: float = 0.004) -> ToolClearance:
    where = Header(frame_id="eye")
    nearest = Point(x=0.0, y=0.0, z=0.05)
    return ToolClearance(
        header=where, id=1, valid=valid, distance=0.005, lower_bound_95=bound, nearest=nearest
    )


def test_a_valid_distance_is_a_line_and_millimetres_from_the_nearest_point_of_the_tool():
    line, text = ClearanceMarkers().array(Update(1), [said(True)]).markers
    assert (line.type, text.type) == (Marker.LINE_LIST, Marker.TEXT_VIEW_FACING)
    assert [point.z for point in line.points] == [0.045, 0.05]
    assert text.text == "5.0 mm (> 4.0)" and line.header.frame_id == "eye"
    assert line.color.r > 0.9 and line.lifetime.nanosec > 0


@pytest.mark.parametrize(("bound", "green"), [(0.004, False), (0.02, True)])
def test_the_colour_is_that_of_the_lower_bound(bound, green):
    line, _ = ClearanceMarkers().array(Update(1), [said(True, bound)]).markers
    assert (line.color.g > line.color.r) == green


def test_what_is_not_valid_any_more_is_deleted_once():
    markers = ClearanceMarkers()
    markers.array(Update(1), [said(True)])
    gone = markers.array(Update(1), [said(False)]).markers
    assert [marker.action for marker in gone] == [Marker.DELETE] * 2
    assert markers.array(Update(1), [said(False)]).markers == []


def test_a_withdrawal_takes_everything_away():
    markers = ClearanceMarkers()
    assert markers.withdrawn(Header()) is None
    markers.array(Update(1), [said(True)])
    assert len(markers.withdrawn(Header()).markers) == 2
