"""The last seconds of what came in and went out, kept in memory and written as a bag on demand.

Messages are kept as they were sent: nothing is unpacked, and what falls out of time or memory is
forgotten. The bag is an ordinary one: `endosfm3d play` sends it to a node again.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseWithCovarianceStamped
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo
from tf2_msgs.msg import TFMessage

from endosfm3d_ros.errors import EndoError, InputError
from endosfm3d_ros.msg import IntrinsicsEstimate, PipelineStatus, ToolArray, ToolClearance
from endosfm3d_ros.nodes.inputs.subscriptions import Offer
from endosfm3d_ros.nodes.offline.bag_writer import BagWriter
from endosfm3d_ros.nodes.outputs.qos import LATCHED, OUTPUT, input_profile

OUTPUTS = {
    "/tf": TFMessage,
    "/diagnostics": DiagnosticArray,
    "~/status": PipelineStatus,
    "~/odometry": Odometry,
    "~/camera_pose": PoseWithCovarianceStamped,
    "~/camera_info": CameraInfo,
    "~/intrinsics": IntrinsicsEstimate,
    "~/tools/models": ToolArray,
    "~/tools/clearance": ToolClearance,
}  # light ones: heavy outputs follow from the inputs
KEPT = 10  # flights in the folder
PAUSE = 60.0  # s from one error that is written to the next
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Kept:
    """One message as it was sent."""

    topic: str
    kind: type
    content: bytes
    stamp: int  # ns of this machine's clock


class Tape:
    """Messages of the last seconds, within bounds; of some topics always the last one as well.

    Args:
        seconds: that are kept.
        megabytes: that they may take.
        lasting: types of which the last message counts until there is a new one.
    """

    def __init__(
        self, seconds: float, megabytes: float, lasting: tuple[type, ...] = (CameraInfo,)
    ) -> None:
        self._seconds, self._most, self._lasting = seconds, megabytes * MEGABYTE, lasting
        self._messages: deque[Kept] = deque()
        self._last: dict[str, Kept] = {}
        self._size = 0
        self._lock = threading.Lock()

    def add(self, message: Kept) -> None:
        """Enter the newest message."""
        with self._lock:
            self._messages.append(message)
            self._size += len(message.content)
            oldest = message.stamp - self._seconds * 1e9
            while self._size > self._most or self._messages[0].stamp < oldest:
                gone = self._messages.popleft()
                self._size -= len(gone.content)
                if gone.kind in self._lasting:
                    self._last[gone.topic] = gone
                if not self._messages:
                    break

    def copy(self) -> list[Kept]:
        """All of it in order; what lasts comes first, with the stamp of the first message."""
        with self._lock:
            messages, last = list(self._messages), dict(self._last)
        if not messages:
            return []
        first = messages[0].stamp
        return [Kept(m.topic, m.kind, m.content, first) for m in last.values()] + messages


class FlightRecorder:
    """Listens beside the node.

    Args:
        node: whose topics are kept.
        tape: where they are kept.
        folder: of the bags; made when the first one is written.
        offers: what the node listens to now.
    """

    def __init__(
        self,
        node: Node,
        tape: Tape,
        folder: Callable[[], Path],
        offers: Callable[[], list[Offer]],
    ) -> None:
        self._node, self._tape, self._folder, self._offers = node, tape, folder, offers
        self._heard: dict[str, Subscription] = {}
        self._next = 0.0
        self._writing = threading.Lock()
        for name, kind in OUTPUTS.items():
            topic = node.resolve_topic_name(name)
            self._listen(topic, kind, LATCHED if name == "~/intrinsics" else OUTPUT)
        self.follow()

    def follow(self) -> None:
        """Listen to inputs that appeared. Called now and then by a timer."""
        for offer in self._offers():
            profile = input_profile(offer.reliability, offer.durabilities[-1])
            self._listen(offer.name, offer.kind, profile)

    def close(self) -> None:
        """Stop listening."""
        for subscription in self._heard.values():
            self._node.destroy_subscription(subscription)
        self._heard = {}

    def error_began(self) -> None:
        """Write what led to an error, on a thread of its own; not again for a minute."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + PAUSE
        threading.Thread(target=self._write_and_say, name="flight", daemon=True).start()

    def write(self) -> str:
        """Write a bag; returns what was written, in a sentence. Takes as long as the disk does.

        Raises:
            EndoError: nothing was kept yet, or the folder cannot be written.
        """
        messages = self._tape.copy()
        if not messages:
            raise InputError("nothing has been kept yet")
        with self._writing:
            folder = self._folder()
            now = time.time()
            name = time.strftime("flight_%Y%m%d_%H%M%S", time.localtime(now))
            path = folder / f"{name}_{int(1000 * (now % 1)):03d}"
            with BagWriter(path) as bag:
                for m in messages:
                    bag.write_serialised(m.topic, m.kind, m.content, m.stamp, m.kind is CameraInfo)
            for old in sorted(folder.glob("flight_*_*"))[:-KEPT]:
                shutil.rmtree(old, ignore_errors=True)
        seconds = (messages[-1].stamp - messages[0].stamp) * 1e-9
        return f"{len(messages)} messages of {seconds:.1f} s written to {path}"

    def _write_and_say(self) -> None:
        log = self._node.get_logger()
        try:
            log.info(f"flight: {self.write()}")
        except EndoError as error:
            log.warning(f"flight: {error}")
        except Exception as error:  # nothing depends on it
            log.error(f"flight: {error!r}")

    def _listen(self, topic: str, kind: type, profile: object) -> None:
        if topic in self._heard:
            return
        keep = partial(self._keep, topic, kind)
        self._heard[topic] = self._node.create_subscription(kind, topic, keep, profile, raw=True)

    def _keep(self, topic: str, kind: type, content: bytes) -> None:
        self._tape.add(Kept(topic, kind, content, time.time_ns()))
