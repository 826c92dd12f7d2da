"""Depth from outside: is it of this picture?"""

from __future__ import annotations

from sensor_msgs.msg import CameraInfo

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs.depth_camera import require_depth_camera
from endosfm3d_ros.inputs.plausibility import require_depth_fits
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.nodes.health.guard import Guard
from endosfm3d_ros.nodes.inputs.subscriptions import Input, InputSubscriptions
from endosfm3d_ros.types import Frame


class DepthInput:
    """Listens to the camera_info beside the depth topic, and compares.

    Args:
        subscriptions: what is listened to.
        guard: catches what callbacks raise.
        report: hears why depth is refused, as long as it is.
    """

    def __init__(
        self, subscriptions: InputSubscriptions, guard: Guard, report: InputReport
    ) -> None:
        self._subscriptions, self._guard, self._report = subscriptions, guard, report
        self._info: CameraInfo | None = None

    def listen_beside(self, info: str) -> None:
        """Subscribe to the depth's own camera_info, unless it is the picture's, `info`."""
        if not self._subscriptions.published("depth_in"):
            return
        depth = self._subscriptions.name("depth_in").removesuffix("/compressedDepth")
        beside = depth.removesuffix("/compressed").rpartition("/")[0] + "/camera_info"
        if beside != info:
            self._subscriptions.add(Input(beside, {CameraInfo: self._guard(self._take)}))

    def fits(self, frame: Frame) -> bool:
        """Whether the depth of a frame can be of its picture."""
        topic, size = self._subscriptions.name("depth_in"), frame.depth.shape[1::-1]
        try:
            require_depth_fits(frame.depth, frame.image.shape[1::-1])
            if self._info is not None and frame.camera is not None:
                require_depth_camera(self._info, size, frame.camera, "its camera_info")
        except InputError as error:
            self._report.refused(topic, "size", str(error))
            return False
        self._report.settle(topic, "size")
        return True

    def _take(self, message: CameraInfo) -> None:
        self._info = message
