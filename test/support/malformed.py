"""Messages that no driver should send and some do: every input, every field, at random."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from geometry_msgs.msg import PoseStamped
from node_harness import LEFT, Probe
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from endosfm3d_ros.nodes.messages.conversions import camera_info_message, image_message
from endosfm3d_ros.types import Frame

NUMBERS = (0, 1, 7, 2**31, 2**32 - 1)
REALS = (0.0, -1.0, 1e-300, 1e300, float("nan"), float("inf"))
ENCODINGS = ("", "rgb8", "mono8", "mono16", "32FC1", "64FC4", "bayer_rggb8", "yuv422", "nv12",
             "8UC3", "bgra16", "16UC1", "\x00", "é", "rgb8" * 2000)  # fmt: skip
NAMES = ("", "/", "//", LEFT, "x" * 10_000, "a b", "..", "\n")
TOPICS = {
    "image_raw": Image,
    "right/image_raw": Image,
    "tool_mask": Image,
    "depth_in": Image,
    "camera_info": CameraInfo,
    "right/camera_info": CameraInfo,
    "endoscope_pose": PoseStamped,
}


class Malformed:
    """Sends one message after the other; about one in eight is good.

    Args:
        probe: that sends.
        clip: good frames.
        seed: of the dice.
    """

    def __init__(self, probe: Probe, clip: list[Frame], seed: int) -> None:
        self._probe, self._clip = probe, clip
        self._dice = random.Random(seed)
        self._stamp = clip[-1].stamp + 10**9
        self._publish = {
            topic: probe.publisher(topic, kind).publish for topic, kind in TOPICS.items()
        }
        self._publish["image_raw/compressed"] = probe.publisher(
            "image_raw/compressed", CompressedImage
        ).publish

    def send_good_frames(self) -> None:
        """Some images with all that belongs to them; `good` are their stamps."""
        self.good = []
        for i, frame in enumerate(self._clip):
            stamp = 10**18 + i * 10**8
            self.good.append(stamp)
            depth = np.full(frame.image.shape[:2], 0.06, np.float32)
            self._publish["depth_in"](image_message(depth, "32FC1", stamp, LEFT))
            self._probe.send_stereo(replace(frame, stamp=stamp))
            self._probe.spin(0.5)

    def send(self) -> None:
        """One message on one topic."""
        topic = self._dice.choice(list(self._publish))
        self._stamp += self._dice.choice((33_000_000, 33_000_000, 0, -(10**7), 10**10, -(10**10)))
        message = self._good(topic)
        if self._dice.random() > 0.12:
            for _ in range(self._dice.randint(1, 3)):
                self._spoil(message)
        self._publish[topic](message)

    def _good(self, topic: str) -> object:
        frame, stamp = self._dice.choice(self._clip), max(self._stamp, 1)
        pair = frame.stereo
        made: dict[str, Callable[[], object]] = {
            "image_raw": lambda: image_message(frame.image, "rgb8", stamp, LEFT),
            "right/image_raw": lambda: image_message(frame.right_image, "rgb8", stamp, LEFT),
            "tool_mask": lambda: image_message(
                np.zeros(frame.image.shape[:2], np.uint8), "mono8", stamp, LEFT
            ),
            "depth_in": lambda: image_message(
                np.full(frame.image.shape[:2], 0.06, np.float32), "32FC1", stamp, LEFT
            ),
            "camera_info": lambda: camera_info_message(pair.left, stamp, LEFT, P=pair.P_left),
            "right/camera_info": lambda: camera_info_message(
                pair.right, stamp, LEFT, P=pair.P_right
            ),
            "endoscope_pose": PoseStamped,
            "image_raw/compressed": lambda: CompressedImage(format="jpeg", data=b"\xff\xd8\xff"),
        }
        return made[topic]()

    def _spoil(self, message: object) -> None:
        """One field becomes something else."""
        dice = self._dice
        field = dice.choice([name for name in message.get_fields_and_field_types()])
        value = getattr(message, field)
        if field == "header":
            message.header.frame_id = dice.choice(NAMES)
            message.header.stamp.sec = dice.choice((0, -(2**31), 2**31 - 1, 100))
        elif field == "encoding":
            message.encoding = dice.choice(ENCODINGS)
        elif field in ("format", "distortion_model"):
            setattr(message, field, dice.choice(("", "png", "jpeg", "equidistant", "x" * 5000)))
        elif field == "data":
            kept = bytes(value)[: dice.randint(0, len(value))]
            message.data = dice.choice((b"", kept, kept + bytes(dice.randint(0, 5000))))
        elif field in ("k", "r", "p"):
            numbers = np.array(value, float)
            numbers[dice.randrange(len(numbers))] = dice.choice(REALS)
            setattr(message, field, numbers)
        elif field == "d":
            message.d = [dice.choice(REALS) for _ in range(dice.randint(0, 20))]
        elif field == "pose":
            message.pose.position.x = dice.choice(REALS)
            message.pose.orientation.w = dice.choice(REALS)
        elif field == "is_bigendian":
            message.is_bigendian = dice.choice((0, 1, 255))
        elif isinstance(value, int) and not isinstance(value, bool):
            setattr(message, field, dice.choice(NUMBERS))
