"""Clearance for people: a line from instrument to tissue and the millimetres, in RViz or Foxglove.

Only valid distances are shown. One that is not, or not any more, is deleted; and what nobody
repeats disappears by itself.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from builtin_interfaces.msg import Duration
from geometry_msgs.msg import Point
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from endosfm3d_ros.msg import ToolClearance
from endosfm3d_ros.types import SceneUpdate

LINE, TEXT = "clearance", "clearance_text"  # namespaces
LIFETIME = 0.5  # s
CLOSE, NEAR = 0.005, 0.015  # m of the lower bound, below which it is red, amber
COLOURS = ((0.95, 0.25, 0.2), (0.95, 0.75, 0.2), (0.35, 0.85, 0.45))
WIDTH, LETTERS = 0.0006, 0.004  # m


class ClearanceMarkers:
    """Remembers what is shown, so that it can be taken away."""

    def __init__(self) -> None:
        self._shown: set[int] = set()

    def array(self, update: SceneUpdate, found: Iterable[ToolClearance]) -> MarkerArray:
        """Markers of the valid ones, and DELETE for those that were shown and are not now."""
        messages = {message.id: message for message in found}
        tools = {tool.track.id: tool for tool in update.tools.tools if tool.placement is not None}
        markers, shown = [], set()
        for number, message in messages.items():
            if message.valid and number in tools:
                tool = tools[number]
                surface = tool.placement.points(tool.model.surface.points)
                markers += _pair(message, surface)
                shown.add(number)
        head = next((message.header for message in messages.values()), Header())
        markers += self._deleted(self._shown - shown, head)
        self._shown = shown
        return MarkerArray(markers=markers)

    def withdrawn(self, head: Header) -> MarkerArray | None:
        """DELETE for all that is shown; None where nothing is."""
        gone, self._shown = self._shown, set()
        return MarkerArray(markers=self._deleted(gone, head)) if gone else None

    def _deleted(self, numbers: set[int], head: Header) -> list[Marker]:
        return [
            Marker(header=head, ns=namespace, id=number, action=Marker.DELETE)
            for number in sorted(numbers)
            for namespace in (LINE, TEXT)
        ]


def _pair(message: ToolClearance, surface: np.ndarray) -> list[Marker]:
    """Line and text of one distance."""
    tissue = np.array([message.nearest.x, message.nearest.y, message.nearest.z])
    tool = surface[np.argmin(np.linalg.norm(surface - tissue, axis=1))]
    line = _marker(message, LINE, Marker.LINE_LIST)
    line.scale.x = WIDTH
    line.points = [_point(tool), _point(tissue)]
    text = _marker(message, TEXT, Marker.TEXT_VIEW_FACING)
    text.scale.z = LETTERS
    text.pose.position = _point((tool + tissue) / 2)
    text.text = f"{1e3 * message.distance:.1f} mm (> {1e3 * message.lower_bound_95:.1f})"
    return [line, text]


def _marker(message: ToolClearance, namespace: str, kind: int) -> Marker:
    marker = Marker(header=message.header, ns=namespace, id=message.id, type=kind)
    marker.pose.orientation.w = 1.0
    step = int(message.lower_bound_95 >= CLOSE) + int(message.lower_bound_95 >= NEAR)
    red, green, blue = COLOURS[step]
    marker.color = ColorRGBA(r=red, g=green, b=blue, a=1.0)
    marker.lifetime = Duration(sec=0, nanosec=int(LIFETIME * 1e9))
    return marker


def _point(place: np.ndarray) -> Point:
    return Point(x=float(place[0]), y=float(place[1]), z=float(place[2]))
