"""Clearance in ROS messages and its withdrawal: it feeds controllers, none outlives its image."""

from __future__ import annotations

from geometry_msgs.msg import Point
from std_msgs.msg import Header

from endosfm3d_ros.gates.limits import MAX_AGE
from endosfm3d_ros.msg import ToolClearance
from endosfm3d_ros.nodes.messages.conversions import header
from endosfm3d_ros.nodes.messages.frames import FrameNames
from endosfm3d_ros.scene.approach import NOT_KNOWN, Approach, Approaches
from endosfm3d_ros.scene.clearance import Clearance, clearances
from endosfm3d_ros.types import SceneUpdate


class ClearanceReports:
    """Remembers which tools were last spoken of, so that each of them can be withdrawn.

    `of_update` is called on the thread of results, `withdrawn` on the executor's.
    """

    def __init__(self) -> None:
        self._known: tuple[int, ...] = ()
        self._where = Header()
        self._scale = ""
        self._approaches = Approaches()

    def of_update(
        self, update: SceneUpdate, names: FrameNames, age: float, heard: bool, doubt: str = ""
    ) -> list[ToolClearance]:
        """One message for each tool, and a last one for each that has left.

        Args:
            update: of one image.
            names: of the frames.
            age: s since what the image shows was taken; nothing is valid beyond `MAX_AGE`.
            heard: whether somebody listens; the distances are not computed otherwise.
            doubt: why no distance may be said; empty where one may be.
        """
        tools = tuple(tool.track.id for tool in update.tools.tools)
        gone = [tool for tool in self._known if tool not in tools]
        self._where = header(update.frame.stamp, names.camera)
        self._scale, self._known = update.depth.scale.value, tools
        if not heard:
            return []
        if age > MAX_AGE.value:
            doubt = f"the image is {age:.1f} s old"
        found = [Clearance.invalid(tool, doubt) for tool in tools] if doubt else clearances(update)
        self._approaches.keep(tools)
        found += [Clearance.invalid(tool, "the tool has left") for tool in gone]
        stamp = update.frame.stamp
        return [self._message(one, age, self._approaches.look(one, stamp)) for one in found]

    def withdrawn(self, reason: str, age: float) -> list[ToolClearance]:
        """An invalid message for each tool that was spoken of; stamps stay those of the image."""
        return [self._message(Clearance.invalid(tool, reason), age) for tool in self._known]

    def _message(
        self, found: Clearance, age: float, approach: Approach = NOT_KNOWN
    ) -> ToolClearance:
        nearest, origin = (
            Point(x=x, y=y, z=z) for x, y, z in (found.nearest.tolist(), found.origin.tolist())
        )
        return ToolClearance(
            header=self._where,
            id=found.id,
            nearest=nearest,
            origin=origin,
            distance=found.distance,
            lower_bound_95=found.lower_bound_95,
            tissue_kind=found.kind,
            scale_source=self._scale,
            valid=found.valid,
            reason=found.reason,
            age=age,
            lifetime=max(0.0, MAX_AGE.value - age) if found.valid else 0.0,
            closing_speed=approach.closing_speed,
            time_to_contact=approach.time_to_contact,
            state=approach.state,
        )
