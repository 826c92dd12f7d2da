"""Messages in, frames out: subscriptions, calibration and matching by stamp in one place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Any

import numpy as np
from geometry_msgs.msg import PoseStamped, TransformStamped
from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from endosfm3d_ros.inputs import packing
from endosfm3d_ros.inputs.contract import CameraContract, EyeTopics
from endosfm3d_ros.inputs.parts import PartsPolicy, Seen
from endosfm3d_ros.inputs.pixels import PixelReader
from endosfm3d_ros.inputs.report import InputReport, Severity
from endosfm3d_ros.nodes.health.guard import Guard, located
from endosfm3d_ros.nodes.health.health import Finding, Health, Level
from endosfm3d_ros.nodes.inputs.assembler import SECOND, AssemblerConfig, FrameAssembler
from endosfm3d_ros.nodes.inputs.depth_input import DepthInput
from endosfm3d_ros.nodes.inputs.frame_gate import FrameGate
from endosfm3d_ros.nodes.inputs.frame_names import sanitised
from endosfm3d_ros.nodes.inputs.input_watch import InputWatch
from endosfm3d_ros.nodes.inputs.subscriptions import Input, InputSubscriptions, Offer
from endosfm3d_ros.nodes.messages import conversions
from endosfm3d_ros.sfm.scale.sources import ScaleSourcesConfig
from endosfm3d_ros.types import Frame

CALIBRATION_WAIT = 1.0  # s that the first images wait for a camera_info that somebody publishes
# Asking the middleware for publishers costs as much as a stage: often while a stream begins, which
# takes so long after its first image, and now and then after that.
SETTLED, LOOK_PERIOD = 2.0, 0.5  # s
IMAGES = ("compressed",)  # transports, as image_transport calls them
DEPTHS = ("compressedDepth", "compressed")


class FrameReceiver:
    """Listens to every input of the node and hands on complete frames.

    Args:
        node: creates the subscriptions.
        values: the node's parameters.
        on_frame: called with each frame, in time order.
        on_jump: called with the size of a jump of the stamps in nanoseconds.
        on_better: called with a sentence before the first frame that has metres where the scene
            had none; a new scene must begin.
    """

    def __init__(
        self,
        node: Node,
        values: dict[str, Any],
        health: Health,
        guard: Guard,
        on_frame: Callable[[Frame], None],
        on_jump: Callable[[int], None],
        on_better: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._node = node
        self._values = values
        self._health = health
        self._guard = guard
        self._on_frame, self._on_jump, self._on_better = on_frame, on_jump, on_better
        self.report = InputReport()
        self._image_size: tuple[int, int] | None = None
        self._first_image: float | None = None
        self._next_look = 0.0
        late = values["stale_warn"], values["stale_error"]
        self.gate = FrameGate(values["image_clock"], values["still_pictures"], late, self.report)
        self._parts = PartsPolicy(values["depth_source"], self.report)
        self._contract = CameraContract(
            EyeTopics("image_raw", "camera_info"),
            EyeTopics("right/image_raw", "right/camera_info"),
            self.report,
        )
        self._readers: dict[str, PixelReader] = {}
        matching = AssemblerConfig(
            slop=round(values["stereo_slop"] * SECOND), on_jump=values["on_time_jump"]
        )
        self.assembler = FrameAssembler(
            self._hand_on_or_count, self._jumped, matching, self._begin_anew
        )
        self._subscriptions = InputSubscriptions(
            node, self._inputs(), values["input_reliability"], values["image_transport"]
        )
        self._watch = InputWatch(
            node, self._subscriptions, self._contract, self.report, self._packed
        )
        self._depth = DepthInput(self._subscriptions, guard, self.report)
        self.discover()

    def close(self) -> None:
        """Stop listening."""
        self._subscriptions.close()
        self.assembler.clear()

    @property
    def offers(self) -> list[Offer]:
        """What is listened to now."""
        return self._subscriptions.offers

    def describe(self) -> str:
        """The image topic, its type and the reliability asked for and offered."""
        return self._subscriptions.describe("image_raw")

    @property
    def image_topic(self) -> str:
        """What images are listened to on."""
        return self._subscriptions.name("image_raw")

    def waiting(self) -> str:
        """What images wait for before they are handed on; empty where they wait for nothing."""
        if self.assembler.waits_for_calibration:
            return f"images wait for {', '.join(self._missing()) or 'calibration'}"
        return self.assembler.waiting()

    def findings(self) -> list[Finding]:
        """What is wrong with the inputs, as long as it is."""
        return [
            Finding("input", Level(entry.severity), str(entry))
            for entry in self.report.entries
            if entry.severity > Severity.NOTE
        ]

    def reset(self) -> None:
        """The next image begins a scene that owes nothing to the one before."""
        self.assembler.clear()
        self._new_scene()

    # --- what is there -----------------------------------------------------------------------

    def discover(self) -> None:
        """Subscribe to what appeared, and learn which parts a frame will have. Called often."""
        now = monotonic()
        self._watch.notes()
        if now < self._next_look:
            return
        if self._first_image is not None and now - self._first_image > SETTLED:
            self._next_look = now + LOOK_PERIOD
        self._subscriptions.poll()
        self._name_topics()
        published = self._subscriptions.published
        seen = Seen(
            announced={
                part
                for part, topic in (("depth", "depth_in"), ("right", "right/image_raw"))
                if published(topic) or (part == "right" and self._packed)
            },
            calibrated=self._contract.stereo is not None or self._contract.pending,
            calibration_due=bool(self._missing()) or self._first_image is None,
            pairable=self._pairable("right"),
        )
        self.assembler.required = self._parts.required(seen, now)
        self.assembler.optional = {"labels": 0} if published("tool_mask") else {}
        if self._values["scale_source"] == "stereo" and "right" in seen.announced:
            self.assembler.optional["right"] = ScaleSourcesConfig.stereo_every
        self._parts.watch(seen, now)
        self._wait_for_calibration()
        self._watch.names(self._first_image)

    def _inputs(self) -> list[Input]:
        """Every topic with its types; small ones first, so that they are matched first."""
        guard = self._guard
        left, right = guard(self._on_image, image=True), guard(self._on_right)
        pose, depth, mask = guard(self._on_pose), guard(self._on_depth), guard(self._on_mask)
        return [
            Input("camera_info", {CameraInfo: guard(lambda m: self._on_info("left", m))}),
            Input("right/camera_info", {CameraInfo: guard(lambda m: self._on_info("right", m))}),
            Input("endoscope_pose", {PoseStamped: pose, TransformStamped: pose}),
            Input("tool_mask", {Image: mask, CompressedImage: mask}, IMAGES),
            Input("depth_in", {Image: depth, CompressedImage: depth}, DEPTHS),
            Input("right/image_raw", {Image: right, CompressedImage: right}, IMAGES),
            Input("image_raw", {Image: left, CompressedImage: left}, IMAGES),
        ]

    def _name_topics(self) -> None:
        """The contract and the readers speak of topics by the names that they really have."""
        name = self._subscriptions.name
        topics = [
            EyeTopics(name(f"{eye}image_raw"), name(f"{eye}camera_info")) for eye in ("", "right/")
        ]
        if self._packed:
            topics[1] = EyeTopics(topics[0].image, topics[1].info)
        if self._contract.set_topics(*topics):
            self._calibrate()
        self._depth.listen_beside(topics[0].info)

    def _reader(self, topic: str) -> PixelReader:
        name = self._subscriptions.name(topic)
        if name not in self._readers:
            self._readers[name] = PixelReader(name, self.report, conversions.bridge_array)
        return self._readers[name]

    # --- images ------------------------------------------------------------------------------

    @property
    def _packed(self) -> bool:
        return self._values["image_layout"] != "single"

    def _on_image(self, message: Image | CompressedImage) -> None:
        now = monotonic()
        self._first_image = self._first_image or now
        self._parts.image(now)
        self._health.image_received(now)
        if self._health.paused:
            self._health.rejected["paused"] += 1
            return
        picture = self._reader("image_raw").picture(message)
        image, right = packing.split(picture, self._values["image_layout"])
        self._watch.layout(picture)
        frame_id, warning = sanitised(message.header.frame_id, self._values["camera_frame_id"])
        if warning:
            self._guard.warn_once(warning)
        stamp = self._stamp(message)
        self.gate.image(self.image_topic, stamp, now, self._node.get_clock().now().nanoseconds)
        self._note_size((image.shape[1], image.shape[0]))
        if right is not None:
            self._parts.heard("right", now)
            self.assembler.add_companion("right", stamp, right)
        self.assembler.add_image(stamp, frame_id, image)

    def _stamp(self, message: Image | CompressedImage) -> int:
        """Nanoseconds; of an image without a time, when it came."""
        stamp = conversions.nanoseconds(message.header.stamp)
        if stamp:
            return stamp
        self._guard.warn_once(
            f"{self._subscriptions.name('image_raw')}: images carry no time (stamp 0): the time of "
            "their arrival is taken, and no other input can be joined to them"
        )
        return self._node.get_clock().now().nanoseconds

    def _note_size(self, size: tuple[int, int]) -> None:
        """Calibration is scaled to the images; a stream may change its size half-way."""
        if size != self._image_size:
            self._image_size = size
            if self._contract.set_size(size):
                self._calibrate()

    def _on_right(self, message: Image | CompressedImage) -> None:
        if self._packed or self._health.paused:
            return
        if not self._wants_right():
            self._parts.heard("right", monotonic())
            return
        self._add("right", "right/image_raw", message, self._reader("right/image_raw").picture)

    def _wants_right(self) -> bool:
        """For depth from it, to measure the scale now and then, or to learn of its stamps."""
        stereo = self._values["depth_source"] in ("auto", "stereo")
        contract = self._contract
        due = contract.stereo is not None or contract.pending or bool(self._missing())
        return (stereo and due) or self._values["scale_source"] == "stereo"

    def _on_depth(self, message: Image | CompressedImage) -> None:
        self._add("depth", "depth_in", message, self._reader("depth_in").depth)

    def _on_mask(self, message: Image | CompressedImage) -> None:
        self._add("labels", "tool_mask", message, self._reader("tool_mask").labels)

    def _add(self, part: str, topic: str, message: Any, read: Callable[[Any], np.ndarray]) -> None:
        """A part of a frame, if it says of which moment it is."""
        value, stamp = read(message), conversions.nanoseconds(message.header.stamp)
        name = self._subscriptions.name(topic)
        if stamp == 0:
            sentence = "carries no time (stamp 0), so it cannot be joined to an image"
            self.report.refused(name, "stamp", sentence, "let its driver stamp it", Severity.WARN)
            return
        self.report.settle(name, "stamp")
        self._parts.heard(part, monotonic())
        self.assembler.add_companion(part, stamp, value)
        if part in self.assembler.sync:
            self._watch.offset(name, self.assembler.sync[part].offset)

    def _pairable(self, part: str) -> bool:
        offset = self.assembler.sync[part].offset
        return offset is None or offset.certain

    def _on_pose(self, message: PoseStamped | TransformStamped) -> None:
        value = message.pose if isinstance(message, PoseStamped) else message.transform
        stamp = conversions.nanoseconds(message.header.stamp)
        self.assembler.poses.add(stamp, conversions.matrix_of(value))

    # --- frames ------------------------------------------------------------------------------

    def _hand_on_or_count(self, frame: Frame) -> None:
        """What a frame raises is counted for this frame, not for the message that completed it."""
        try:
            self._hand_on(frame)
        except Exception as error:
            self.assembler.rejected["cannot be handed on"] += 1
            sentence = f"frame {frame.stamp} cannot be handed on: {located(error)}"
            self._node.get_logger().error(sentence, throttle_duration_sec=2.0)

    def _hand_on(self, frame: Frame) -> None:
        """A complete frame to the pipeline, if its parts belong to each other."""
        if frame.right_image is not None and self._contract.judge(frame.image, frame.right_image):
            self._calibrate()
            if self._parts.rank is not None:
                self._begin_anew("the pair is read in another way, see the log")
            frame = replace(frame, camera=self._contract.camera, stereo=self._contract.stereo)
        if self._contract.conflict:
            self.assembler.rejected["calibration changed within a scene"] += 1
            return
        if frame.depth is not None and not self._depth.fits(frame):
            self.assembler.rejected["depth does not fit the image"] += 1
            return
        if self.gate.refusal(frame, self._picture_topics()):
            self.assembler.rejected["not of one moment"] += 1
            return
        if self._parts.rises(frame):
            self._begin_anew("metric depth has become available")
        self._contract.use()
        self._parts.handed_on(frame)
        self._on_frame(frame)

    def _picture_topics(self) -> dict[str, str]:
        name = self._subscriptions.name
        right = "image_raw" if self._packed else "right/image_raw"
        return {"left": name("image_raw"), "right": name(right), "mask": name("tool_mask")}

    def _begin_anew(self, reason: str) -> None:
        self._on_better(reason)
        self._new_scene()

    def _jumped(self, step: int) -> None:
        self.gate.clear()
        self._new_scene()
        self._on_jump(step)

    def _new_scene(self) -> None:
        self._parts.new_scene(monotonic() if self._first_image else None)
        self._contract.new_scene()
        self._calibrate()

    # --- calibration -------------------------------------------------------------------------

    def _on_info(self, eye: str, message: CameraInfo) -> None:
        """Keep the newest calibration of an eye; the pair is rebuilt only when it changes."""
        if self._contract.set_info(eye, message):
            self._calibrate()

    def _missing(self) -> list[str]:
        """Topics that somebody publishes calibration on and that have not spoken yet."""
        topics = {"left": "camera_info"}
        published = self._subscriptions.published
        if self._packed or published("right/image_raw"):
            topics["right"] = "right/camera_info"
        return [
            topic
            for eye, topic in topics.items()
            if not self._contract.has(eye) and published(topic)
        ]

    def _wait_for_calibration(self) -> None:
        """Hold the first images for a moment where their camera_info is still under way."""
        missing, first = self._missing(), self._first_image
        if not missing:
            if self.assembler.waits_for_calibration:
                self._calibrate(final=True)
            return
        if first is None or monotonic() - first < CALIBRATION_WAIT:
            self.assembler.waits_for_calibration = True
        elif self.assembler.waits_for_calibration:
            self._guard.warn_once(f"no message on {', '.join(missing)} yet: going on without")
            self._calibrate(final=True)

    def _calibrate(self, final: bool = False) -> None:
        """What the contract has made of the messages, for the frames to come."""
        first = self._first_image
        patient = first is None or monotonic() - first < CALIBRATION_WAIT
        if final or not (patient and self._missing()):
            self.assembler.set_calibration(self._contract.camera, self._contract.stereo)
