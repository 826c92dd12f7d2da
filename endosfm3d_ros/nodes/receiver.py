"""Messages in, frames out: subscriptions, calibration and matching by stamp in one place."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from time import monotonic
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from endosfm3d_ros.datasets.camera_info import camera_from_info, stereo_from_infos
from endosfm3d_ros.nodes import conversions, parameters
from endosfm3d_ros.nodes.assembler import FrameAssembler
from endosfm3d_ros.nodes.frame_names import sanitised
from endosfm3d_ros.nodes.guard import Guard
from endosfm3d_ros.nodes.health import Health
from endosfm3d_ros.nodes.inputs import Input, InputSubscriptions
from endosfm3d_ros.sfm.scale_sources import ScaleSourcesConfig
from endosfm3d_ros.types import Frame

CALIBRATION_WAIT = 1.0  # s that the first images wait for a camera_info that somebody publishes
ARRIVALS_KEPT = 64
# Asking the middleware for publishers costs as much as a stage: often while a stream begins, which
# takes so long after its first image, and now and then after that.
SETTLED, LOOK_PERIOD = 2.0, 0.5  # s


class FrameReceiver:
    """Listens to every input of the node and hands on complete frames.

    Args:
        node: creates the subscriptions.
        values: the node's parameters.
        on_frame: called with each frame, in time order.
        on_jump: called with the size of a jump of the stamps in nanoseconds.
    """

    def __init__(
        self,
        node: Node,
        values: dict[str, Any],
        health: Health,
        guard: Guard,
        on_frame: Callable[[Frame], None],
        on_jump: Callable[[int], None],
    ) -> None:
        self._values = values
        self._health = health
        self._guard = guard
        self._infos: dict[str, CameraInfo] = {}
        self._image_size: tuple[int, int] | None = None
        self._first_image: float | None = None
        self._next_look = 0.0
        self._arrivals: OrderedDict[int, float] = OrderedDict()
        self.assembler = FrameAssembler(on_frame, on_jump, parameters.assembler_config(values))
        self._subscriptions = InputSubscriptions(
            node, self._inputs(), values["input_reliability"], values["image_transport"]
        )
        self.discover()

    def close(self) -> None:
        """Stop listening."""
        self._subscriptions.close()

    def describe(self) -> str:
        """The image topic, its type and the reliability asked for and offered."""
        return self._subscriptions.describe("image_raw")

    def waiting(self) -> str:
        """What images wait for before they are handed on; empty where they wait for nothing."""
        if self.assembler.waits_for_calibration:
            return f"images wait for {', '.join(self._missing()) or 'calibration'}"
        return self.assembler.waiting()

    def arrival(self, stamp: int) -> float | None:
        """When the image of this stamp came, in seconds of the steady clock."""
        return self._arrivals.get(stamp)

    def discover(self) -> None:
        """Subscribe to what appeared, and learn which parts a frame will have. Called often."""
        now = monotonic()
        if now < self._next_look:
            return
        if self._first_image is not None and now - self._first_image > SETTLED:
            self._next_look = now + LOOK_PERIOD
        self._subscriptions.poll()
        published, source = self._subscriptions.published, self._values["depth_source"]
        required = set()
        if source in ("auto", "topic") and published("depth_in"):
            required = {"depth"}
        elif source in ("auto", "stereo") and published("right/image_raw"):
            required = {"right"}
        self.assembler.required = required
        self.assembler.optional = {"labels": 0} if published("tool_mask") else {}
        if self._wants_right() and published("right/image_raw"):
            self.assembler.optional["right"] = ScaleSourcesConfig.stereo_every
        self._wait_for_calibration()

    def _inputs(self) -> list[Input]:
        """Every topic with its types; small ones first, so that they are matched first."""
        guard = self._guard
        left, right = guard(self._on_image), guard(self._on_right)
        pose = guard(self._on_pose)
        return [
            Input("camera_info", {CameraInfo: guard(lambda m: self._on_info("left", m))}),
            Input("right/camera_info", {CameraInfo: guard(lambda m: self._on_info("right", m))}),
            Input("endoscope_pose", {PoseStamped: pose, TransformStamped: pose}),
            Input("tool_mask", {Image: guard(self._on_mask)}),
            Input("depth_in", {Image: guard(self._on_depth)}),
            Input("right/image_raw", {Image: right, CompressedImage: right}, compressed=True),
            Input("image_raw", {Image: left, CompressedImage: left}, compressed=True),
        ]

    # --- images ------------------------------------------------------------------------------

    def _on_image(self, message: Image | CompressedImage) -> None:
        now = monotonic()
        self._first_image = self._first_image or now
        self._health.image_received(now)
        if self._health.paused:
            return
        image = _pixels(message)
        frame_id, warning = sanitised(message.header.frame_id, self._values["camera_frame_id"])
        if warning:
            self._guard.warn_once(warning)
        stamp = conversions.nanoseconds(message.header.stamp)
        self._note_arrival(stamp, now)
        self._note_size((image.shape[1], image.shape[0]))
        self.assembler.add_image(stamp, frame_id, image)

    def _note_arrival(self, stamp: int, now: float) -> None:
        self._arrivals[stamp] = now
        while len(self._arrivals) > ARRIVALS_KEPT:
            self._arrivals.popitem(last=False)

    def _note_size(self, size: tuple[int, int]) -> None:
        """Calibration is scaled to the images; a stream may change its size half-way."""
        if size != self._image_size:
            self._image_size = size
            if self._infos:
                self._set_calibration()

    def _on_right(self, message: Image | CompressedImage) -> None:
        if self._wants_right() and not self._health.paused:
            self._add("right", message, _pixels(message))

    def _wants_right(self) -> bool:
        """For depth from it, or to measure the scale now and then."""
        return "right" in self.assembler.required or self._values["scale_source"] == "stereo"

    def _on_depth(self, message: Image) -> None:
        self._add("depth", message, conversions.depth_array(message))

    def _on_mask(self, message: Image) -> None:
        self._add("labels", message, conversions.label_array(message))

    def _add(self, name: str, message: Image | CompressedImage, value: np.ndarray) -> None:
        stamp = conversions.nanoseconds(message.header.stamp)
        self.assembler.add_companion(name, stamp, value)

    def _on_pose(self, message: PoseStamped | TransformStamped) -> None:
        value = message.pose if isinstance(message, PoseStamped) else message.transform
        stamp = conversions.nanoseconds(message.header.stamp)
        self.assembler.poses.add(stamp, conversions.matrix_of(value))

    # --- calibration -------------------------------------------------------------------------

    def _on_info(self, eye: str, message: CameraInfo) -> None:
        """Keep the newest calibration of an eye; the pair is rebuilt only when it changes."""
        known = self._infos.get(eye)
        if known is not None and _same_camera(known, message):
            return
        camera_from_info(message)  # what is unusable must not replace what is usable
        self._infos[eye] = message
        self._set_calibration()

    def _missing(self) -> list[str]:
        """Topics that somebody publishes calibration on and that have not spoken yet."""
        topics = {"left": "camera_info"}
        if self._wants_right():
            topics["right"] = "right/camera_info"
        published = self._subscriptions.published
        return [
            topic for eye, topic in topics.items() if eye not in self._infos and published(topic)
        ]

    def _wait_for_calibration(self) -> None:
        """Hold the first images for a moment where their camera_info is still under way."""
        missing, first = self._missing(), self._first_image
        if not missing:
            return
        if first is None or monotonic() - first < CALIBRATION_WAIT:
            self.assembler.waits_for_calibration = True
        elif self.assembler.waits_for_calibration:
            self._guard.warn_once(f"no message on {', '.join(missing)} yet: going on without")
            self._set_calibration(final=True)

    def _set_calibration(self, final: bool = False) -> None:
        if self._missing() and not final:
            return
        left, right = self._infos.get("left"), self._infos.get("right")
        camera = camera_from_info(left, self._image_size) if left else None
        stereo = stereo_from_infos(left, right, self._image_size) if left and right else None
        self.assembler.set_calibration(camera, stereo)


def _pixels(message: Image | CompressedImage) -> np.ndarray:
    if isinstance(message, CompressedImage):
        return conversions.compressed_array(message)
    return conversions.image_array(message)


def _same_camera(a: CameraInfo, b: CameraInfo) -> bool:
    """Whether two messages say the same, whatever their headers."""
    numbers = ("d", "k", "r", "p")
    others = ("width", "height", "distortion_model", "binning_x", "binning_y", "roi")
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in numbers) and all(
        getattr(a, name) == getattr(b, name) for name in others
    )
