"""Instruments in ROS messages: array, markers, labels; clearance has a file of its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import numpy as np
from builtin_interfaces.msg import Duration
from sensor_msgs.msg import Image
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from endosfm3d_ros.gates.limits import MAX_AGE
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.msg import Tool, ToolArray, ToolClearance
from endosfm3d_ros.nodes.messages.clearance import ClearanceReports
from endosfm3d_ros.nodes.messages.clearance_markers import ClearanceMarkers
from endosfm3d_ros.nodes.messages.conversions import header, image_message, pose_message
from endosfm3d_ros.nodes.messages.frames import FrameNames
from endosfm3d_ros.nodes.messages.marker_shapes import MarkerShape, shape_of
from endosfm3d_ros.nodes.messages.output import Output, PublishContext, Topic
from endosfm3d_ros.tools.articulated.linkage import NAMES as JOINT_NAMES
from endosfm3d_ros.tools.stage import PlacedTool
from endosfm3d_ros.tools.types import ToolModel
from endosfm3d_ros.types import SceneUpdate

NAMESPACE = "tools"
Key = tuple[str, int]  # namespace and id of a marker
LIFETIME = 0.5  # s after which a marker of a dead node disappears
PALETTE = ((0.35, 0.65, 0.95), (0.95, 0.6, 0.3), (0.5, 0.85, 0.5), (0.85, 0.5, 0.85))


def tool_array(
    update: SceneUpdate, names: FrameNames, age: float = 0.0, stale_mask: str = ""
) -> ToolArray:
    """Every tool with pose, scale and what they are worth.

    Args:
        update: of one image.
        names: of the frames.
        age: s since what the image shows was taken.
        stale_mask: why the masks are not of this image; no pose is trusted then.
    """
    view = update.tools
    message = ToolArray(
        header=header(update.frame.stamp, names.camera),
        mask_source=view.mask_source,
        scale_source=update.depth.scale.value,
        lifetime=max(0.0, MAX_AGE.value - age),
        tools=[_tool(tool) for tool in view.tools],
    )
    for tool in message.tools if stale_mask else ():
        tool.trusted, tool.reason = False, stale_mask
    return message


def _tool(tool: PlacedTool) -> Tool:
    placement = tool.placement
    message = Tool(
        id=tool.track.id,
        visible=not tool.track.lost,
        placed=placement is not None and placement.valid,
        confidence=float(tool.belief.confidence),
        model_source=tool.model.source if tool.model else "",
        kind=tool.model.kind if tool.model else "",
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
        if len(placement.joints):
            message.joint_names = list(JOINT_NAMES)
            message.joint_positions = placement.joints.tolist()
            deviations = np.sqrt(np.diag(placement.full_covariance)[6:])
            message.joint_deviations = deviations.tolist()
    return message


class ToolMarkers:
    """Meshes with stable ids; tools that left are deleted in the next array.

    Only poses of markers change from image to image, their shapes with the model. A rigid model is
    one marker with the tool's id; of a jointed one each link is, in a namespace of the tool.

    Args:
        kind: of `marker_shapes`.
    """

    def __init__(self, kind: str = "inline") -> None:
        self._kind = kind
        self._shown: dict[Key, tuple[ToolModel, MarkerShape]] = {}

    def array(self, update: SceneUpdate, names: FrameNames) -> MarkerArray:
        """Markers of all placed tools, and DELETE for those that were shown and are not now."""
        head = header(update.frame.stamp, names.camera)
        parts = {
            key: (tool, part, T)
            for tool in update.tools.tools
            if _shows(tool)
            for key, part, T in _parts(tool)
        }
        gone = sorted(self._shown.keys() - parts.keys())
        for key in gone:
            self._forget(key)
        markers = [self._marker(key, *part, head) for key, part in parts.items()]
        markers += [Marker(header=head, ns=n, id=i, action=Marker.DELETE) for n, i in gone]
        return MarkerArray(markers=markers)

    def close(self) -> None:
        """Discard all shapes."""
        for key in list(self._shown):
            self._forget(key)

    def _marker(
        self, key: Key, tool: PlacedTool, part: ToolModel, T: np.ndarray, head: Header
    ) -> Marker:
        """The shape of a part, moved by the pose."""
        placement, number = tool.placement, tool.track.id
        marker = Marker(header=head, ns=key[0], id=key[1])
        pose = se3.from_rotation(placement.R @ T[:3, :3], placement.points(T[None, :3, 3])[0])
        marker.pose = pose_message(pose)
        marker.scale.x = marker.scale.y = marker.scale.z = float(placement.scale)
        red, green, blue = PALETTE[number % len(PALETTE)]
        marker.color = ColorRGBA(r=red, g=green, b=blue, a=0.95 if placement.trusted else 0.35)
        marker.lifetime = Duration(sec=0, nanosec=int(LIFETIME * 1e9))
        self._shape(key, part).put_into(marker)
        return marker

    def _shape(self, key: Key, model: ToolModel) -> MarkerShape:
        """That of the last image where the model is still the same."""
        known = self._shown.get(key)
        if known is None or known[0] is not model:
            self._forget(key)
            self._shown[key] = model, shape_of(model, self._kind)
        return self._shown[key][1]

    def _forget(self, key: Key) -> None:
        if key in self._shown:
            self._shown.pop(key)[1].discard()


def _parts(tool: PlacedTool) -> Iterator[tuple[Key, ToolModel, np.ndarray]]:
    """Namespace and id, shape, and (4, 4) in the model of what is shown of a tool."""
    number = tool.track.id
    if not tool.model.links:
        yield (NAMESPACE, number), tool.model, np.eye(4)
    for k, (part, T) in enumerate(tool.model.links):
        yield (f"{NAMESPACE}/{number}", k), part, T


def _shows(tool: PlacedTool) -> bool:
    return tool.placement is not None and tool.placement.valid


def label_image(update: SceneUpdate, names: FrameNames) -> Image:
    """mono8 of the image's size: 0 = tissue, else the tool's id."""
    labels = update.tools.tracks.labels
    return image_message(labels, "mono8", update.frame.stamp, names.camera)


class ToolOutput(Output):
    """What the tools stage publishes.

    Args:
        marker_meshes: kind of `marker_shapes`.
    """

    topics: ClassVar = {
        "tools/models": Topic(ToolArray, "shapes and poses with stable ids"),
        "tools/markers": Topic(MarkerArray, "finite lifetime, DELETE on leaving"),
        "tools/labels": Topic(Image, "mono8 of the image's size: 0 tissue, else the tool's id"),
        "tools/clearance": Topic(ToolClearance, "distance to tissue; only where `valid`"),
        "tools/clearance_markers": Topic(
            MarkerArray, "valid distances as lines with millimetres; red below 5 mm"
        ),
    }

    def __init__(self, marker_meshes: str) -> None:
        self._markers = ToolMarkers(marker_meshes)
        self._clearance = ClearanceReports()
        self._lines = ClearanceMarkers()

    def messages(
        self, update: SceneUpdate, context: PublishContext
    ) -> Iterator[tuple[str, object]]:
        """What is wanted with every update; clearance, the dearest, last, once per tool."""
        names, wanted = context.names, context.wanted
        if update.tools is None:
            return
        if "tools/models" in wanted:
            yield "tools/models", tool_array(update, names, context.age, context.stale_mask)
        if "tools/markers" in wanted:
            yield "tools/markers", self._markers.array(update, names)
        if "tools/labels" in wanted:
            yield "tools/labels", label_image(update, names)
        kinds = {"tools/clearance", "tools/clearance_markers"} & set(wanted)
        found = self._clearance.of_update(update, names, context.age, bool(kinds), context.doubt)
        if "tools/clearance" in kinds:
            yield from (("tools/clearance", message) for message in found)
        if "tools/clearance_markers" in kinds:
            yield "tools/clearance_markers", self._lines.array(update, found)

    def withdrawals(self, reason: str, age: float) -> Iterator[tuple[str, object]]:
        """No clearance is valid any more."""
        head = Header()
        for message in self._clearance.withdrawn(reason, age):
            head = message.header
            yield "tools/clearance", message
        gone = self._lines.withdrawn(head)
        if gone is not None:
            yield "tools/clearance_markers", gone

    def close(self) -> None:
        """Discard what markers refer to."""
        self._markers.close()
