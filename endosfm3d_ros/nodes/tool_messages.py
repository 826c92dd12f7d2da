"""Instruments in ROS messages: array, markers, labels; clearance has a file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from sensor_msgs.msg import Image
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.msg import Tool, ToolArray, ToolClearance
from endosfm3d_ros.nodes.clearance_messages import ClearanceReports
from endosfm3d_ros.nodes.conversions import header, image_message, pose_message
from endosfm3d_ros.nodes.outputs import ExtraOutputs, Occasion
from endosfm3d_ros.nodes.scene_messages import FrameNames
from endosfm3d_ros.tools.mesh import decimated
from endosfm3d_ros.tools.stage import PlacedTool
from endosfm3d_ros.tools.types import ToolModel
from endosfm3d_ros.types import SceneUpdate

NAMESPACE = "tools"
LIFETIME = 0.5  # s after which a marker of a dead node disappears
MAX_TRIANGLES = 2000  # of one marker, about: a mesh with more is reduced for display
PALETTE = ((0.35, 0.65, 0.95), (0.95, 0.6, 0.3), (0.5, 0.85, 0.5), (0.85, 0.5, 0.85))


def tool_array(update: SceneUpdate, names: FrameNames) -> ToolArray:
    """Every tool with pose, scale and what they are worth."""
    view = update.tools
    return ToolArray(
        header=header(update.frame.stamp, names.camera),
        mask_source=view.mask_source,
        scale_source=update.depth.scale.value,
        tools=[_tool(tool) for tool in view.tools],
    )


def _tool(tool: PlacedTool) -> Tool:
    placement = tool.placement
    message = Tool(
        id=tool.track.id,
        visible=not tool.track.lost,
        placed=placement is not None and placement.valid,
        model_source=tool.model.source if tool.model else "",
        model_count=tool.model_count,
        score=float(tool.track.score),
        box=np.array(tool.track.bbox, np.int32),
    )
    if placement is not None:
        message.trusted, message.reason = placement.trusted, placement.reason
        message.iou = float(placement.iou)
    if message.placed:
        message.scale = float(placement.scale)
        message.pose.pose = pose_message(se3.from_rotation(placement.R, placement.t))
        order = [3, 4, 5, 0, 1, 2]  # ROS: position before rotation
        message.pose.covariance = placement.covariance[np.ix_(order, order)].ravel()
    return message


class ToolMarkers:
    """Meshes with stable ids; tools that left are deleted in the next array.

    Only the pose of a marker changes from image to image. Its corners are kept: making thousands of
    Python points anew takes longer than placing the tool.
    """

    def __init__(self) -> None:
        self._shown: dict[int, tuple[ToolModel, list[Point]]] = {}

    def array(self, update: SceneUpdate, names: FrameNames) -> MarkerArray:
        """Markers of all placed tools, and DELETE for those that were shown and are not now."""
        head = header(update.frame.stamp, names.camera)
        placed = {tool.track.id: tool for tool in update.tools.tools if _shows(tool)}
        shown = {number: self._with_corners(tool) for number, tool in placed.items()}
        markers = [_mesh_marker(tool, shown[number][1], head) for number, tool in placed.items()]
        for gone in sorted(self._shown.keys() - placed.keys()):
            markers.append(Marker(header=head, ns=NAMESPACE, id=gone, action=Marker.DELETE))
        self._shown = shown
        return MarkerArray(markers=markers)

    def _with_corners(self, tool: PlacedTool) -> tuple[ToolModel, list[Point]]:
        """The model and its corners, those of the last image where it is the same model."""
        known = self._shown.get(tool.track.id)
        return known if known and known[0] is tool.model else (tool.model, _corners(tool.model))


def _shows(tool: PlacedTool) -> bool:
    return tool.placement is not None and tool.placement.valid


def _corners(model: ToolModel) -> list[Point]:
    """Three points a triangle, in the model frame."""
    vertices, faces = decimated(model.vertices, model.faces, MAX_TRIANGLES)
    corners = vertices[faces].reshape(-1, 3).astype(float)
    return [Point(x=x, y=y, z=z) for x, y, z in corners.tolist()]


def _mesh_marker(tool: PlacedTool, corners: list[Point], head: object) -> Marker:
    """TRIANGLE_LIST in the model frame; the pose moves it."""
    placement = tool.placement
    marker = Marker(header=head, ns=NAMESPACE, id=tool.track.id, type=Marker.TRIANGLE_LIST)
    marker.pose = pose_message(se3.from_rotation(placement.R, placement.t))
    marker.scale.x = marker.scale.y = marker.scale.z = float(placement.scale)
    red, green, blue = PALETTE[tool.track.id % len(PALETTE)]
    marker.color = ColorRGBA(r=red, g=green, b=blue, a=0.95 if placement.trusted else 0.35)
    marker.lifetime = Duration(sec=0, nanosec=int(LIFETIME * 1e9))
    marker.points = corners
    return marker


def label_image(update: SceneUpdate, names: FrameNames) -> Image:
    """mono8 of the image's size: 0 = tissue, else the tool's id."""
    labels = update.tools.tracks.labels
    return image_message(labels, "mono8", update.frame.stamp, names.camera)


class ToolOutputs(ExtraOutputs):
    """What the tools stage publishes."""

    topics: ClassVar[dict[str, type]] = {
        "tools/models": ToolArray,
        "tools/markers": MarkerArray,
        "tools/labels": Image,
        "tools/clearance": ToolClearance,
    }

    def __init__(self) -> None:
        self._markers = ToolMarkers()
        self._clearance = ClearanceReports()

    def messages(self, update: SceneUpdate, occasion: Occasion) -> Iterator[tuple[str, object]]:
        """What is wanted with every update; clearance, the dearest, last, once per tool."""
        names, wanted = occasion.names, occasion.wanted
        if update.tools is None:
            return
        if "tools/models" in wanted:
            yield "tools/models", tool_array(update, names)
        if "tools/markers" in wanted:
            yield "tools/markers", self._markers.array(update, names)
        if "tools/labels" in wanted:
            yield "tools/labels", label_image(update, names)
        heard = "tools/clearance" in wanted
        for message in self._clearance.of_update(update, names, occasion.age, heard):
            yield "tools/clearance", message

    def withdrawals(self, reason: str, age: float) -> Iterator[tuple[str, object]]:
        """No clearance is valid any more."""
        for message in self._clearance.withdrawn(reason, age):
            yield "tools/clearance", message
