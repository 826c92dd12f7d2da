"""What there is to say about the inputs besides their messages: names, layouts, offsets."""

from __future__ import annotations

from time import monotonic

import numpy as np
from rclpy.node import Node

from endosfm3d_ros.inputs import packing
from endosfm3d_ros.inputs.contract import CameraContract
from endosfm3d_ros.inputs.eye_sync import Offset
from endosfm3d_ros.inputs.report import InputReport, Severity
from endosfm3d_ros.nodes.inputs.subscriptions import InputSubscriptions

NOTES_KEPT = 64  # sentences that were logged
NAMES_PERIOD = 2.0  # s between looks for names that nearly match
NAMES_AFTER = 1.0  # s of images before the first look
PACKED_LOOKS = 5  # first pictures that are looked at for both eyes in one


class InputWatch:
    """Adds to the report what only the node can know, and logs what the report holds.

    Args:
        node: for its log.
        subscriptions: what is listened to.
        contract: which calibration came.
        report: of the stream.
        packed: whether pictures are known to hold both eyes.
    """

    def __init__(
        self,
        node: Node,
        subscriptions: InputSubscriptions,
        contract: CameraContract,
        report: InputReport,
        packed: bool,
    ) -> None:
        self._node, self._subscriptions = node, subscriptions
        self._contract, self._report, self._packed = contract, report, packed
        self._noted: set[str] = set()
        self._next_names = 0.0
        self._packed_looks = 0

    def notes(self) -> None:
        """Log once what was converted or assumed."""
        for entry in self._report.entries:
            sentence = str(entry)
            new = sentence not in self._noted and len(self._noted) < NOTES_KEPT
            if entry.severity == Severity.NOTE and new:
                self._noted.add(sentence)
                self._node.get_logger().info(f"{entry.action.value}: {sentence}")

    def names(self, first_image: float | None) -> None:
        """Calibration that images are waiting for may be published under another name."""
        now = monotonic()
        if first_image is None or now < max(self._next_names, first_image + NAMES_AFTER):
            return
        self._next_names = now + NAMES_PERIOD
        topics = {"left": "camera_info"}
        if self._subscriptions.published("right/image_raw") or self._packed:
            topics["right"] = "right/camera_info"
        for eye, topic in topics.items():
            absent = not self._contract.has(eye) and not self._subscriptions.published(topic)
            near = self._subscriptions.near(topic) if absent else None
            resolved = self._subscriptions.name(topic)
            if near is None and absent and eye == "right":
                self._report.missing(
                    topic,
                    "name",
                    f"nothing on {resolved}: no metres from this pair",
                    "publish the camera_info of both eyes, or remap it",
                )
                continue
            if near is None:
                self._report.settle(topic, "name")
                continue
            self._report.missing(
                topic,
                "name",
                f"nothing on {resolved}; {near} has a publisher",
                f"remap it: -r {topic}:={near}",
            )

    def layout(self, picture: np.ndarray) -> None:
        """Two eyes in one picture are noticed, and never taken for one."""
        if self._packed or self._packed_looks >= PACKED_LOOKS:
            return
        self._packed_looks += 1
        layout, topic = packing.looks_packed(picture), self._subscriptions.name("image_raw")
        if layout is None:
            self._report.settle(topic, "packing")
            return
        self._report.missing(
            topic,
            "packing",
            f"its picture of {picture.shape[1]}x{picture.shape[0]} looks like both eyes "
            f"{layout.replace('_', ' ')}",
            f"set the parameter image_layout to {layout}",
        )

    def offset(self, topic: str, offset: Offset | None) -> None:
        """How stamps differ from those of the images, and whether that can be taken out."""
        if offset is None or not offset.words:
            self._report.settle(topic, "offset")
        elif offset.certain:
            self._report.converted(topic, "offset", offset.words, offset.cure)
        else:
            self._report.refused(topic, "offset", offset.words, offset.cure)
