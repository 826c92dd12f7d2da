"""Plays bags where `ros2 bag` is not installed: messages go out as they were stored."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rosgraph_msgs.msg import Clock

from endosfm3d_ros.datasets.bags.file import BagFile, Entry
from endosfm3d_ros.datasets.bags.qos import offered_qualities
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.nodes.messages.conversions import time_message


@dataclass(frozen=True)
class PlayerConfig:
    """How a bag is played."""

    rate: float = 1.0  # times the recorded speed
    loops: int = 1  # 0: for ever
    clock: float = 0.0  # Hz of /clock; 0: none
    topics: tuple[str, ...] = ()  # only these; empty: all

    def __post_init__(self) -> None:
        if not self.rate > 0 or self.loops < 0 or self.clock < 0:
            raise ConfigurationError(
                f"rate {self.rate}, loops {self.loops}, clock {self.clock} Hz: the rate must be "
                "positive, the others not negative"
            )


class BagPlayer:
    """Publishes the messages of a bag at their times.

    Args:
        node: owns the publishers; its executor need not spin.
        bag: folder, .mcap or .db3 file.
        config: how to play.

    Raises:
        InputError: the bag cannot be read, or holds none of the topics.

    Attributes:
        messages: how many are played in one loop.
        faults: sentences about what of the bag cannot be played.
    """

    def __init__(self, node: Node, bag: Path, config: PlayerConfig | None = None) -> None:
        self.config = config or PlayerConfig()
        self._node = node
        self._bag = BagFile(bag)
        self._publishers = {name: self._publisher(name) for name in self._wanted()}
        self.messages = sum(self._bag.counts[name] for name in self._publishers)
        self.faults = self._bag.faults
        if not self._publishers:
            wanted = ", ".join(self.config.topics) or "topics of installed message types"
            raise InputError(f"bag {bag} has none of {wanted}")
        self._clock = node.create_publisher(Clock, "/clock", 10) if self.config.clock else None

    @property
    def topics(self) -> list[str]:
        """What is published."""
        return sorted(self._publishers)

    def wait_for_listener(self, topic: str | None, timeout: float) -> bool:
        """Whether somebody subscribed to a topic (None: to any) within `timeout` seconds."""
        watched = [self._publishers[topic]] if topic else list(self._publishers.values())
        end = monotonic() + timeout
        while not any(publisher.get_subscription_count() for publisher in watched):
            if monotonic() > end:
                return False
            sleep(0.02)
        return True

    def wait_until_connected(self, timeout: float, settled: float = 0.5) -> bool:
        """Wait until somebody listens and nobody else has begun to for `settled` seconds.

        Returns whether somebody did within `timeout` seconds.
        """
        if not self.wait_for_listener(None, timeout):
            return False
        counts, since = None, monotonic()
        while monotonic() - since < settled:
            now = [publisher.get_subscription_count() for publisher in self._publishers.values()]
            if now != counts:
                counts, since = now, monotonic()
            sleep(0.02)
        return True

    def play(
        self,
        on_published: Callable[[str, int], None] = lambda topic, stamp: None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> int:
        """Play all loops; returns how many messages went out.

        Args:
            on_published: called with topic and log time in nanoseconds after each message.
            stopped: asked between messages; ends the playback when it says so.
        """
        count = loop = 0
        while not stopped() and (self.config.loops == 0 or loop < self.config.loops):
            count += self._play_once(on_published, stopped)
            loop += 1
        return count

    def _play_once(
        self, on_published: Callable[[str, int], None], stopped: Callable[[], bool]
    ) -> int:
        count, begin, first = 0, monotonic(), None
        for entry in self._bag.entries(*self._publishers):
            content = self._content(entry)
            if content is None:
                continue
            first = entry.time if first is None else first
            self._wait_until(begin + (entry.time - first) * 1e-9 / self.config.rate, entry.time)
            if stopped():
                break
            self._publishers[entry.topic].publish(content)
            on_published(entry.topic, entry.time)
            count += 1
        return count

    def _content(self, entry: Entry) -> bytes | None:
        """What is sent; None for a message that is damaged, which the log names."""
        try:
            return self._bag.raw(entry.place)
        except InputError as error:
            self._node.get_logger().warning(f"{entry.topic}: {error}")
            return None

    def _wait_until(self, due: float, stamp: int) -> None:
        """Sleep until a message is due; /clock goes on meanwhile."""
        while (left := due - monotonic()) > 0:
            if self._clock is None:
                sleep(left)
                continue
            self._tick(stamp - round(left * self.config.rate * 1e9))
            sleep(min(left, 1 / self.config.clock))
        if self._clock is not None:
            self._tick(stamp)

    def _tick(self, stamp: int) -> None:
        self._clock.publish(Clock(clock=time_message(max(0, stamp))))

    def _wanted(self) -> list[str]:
        chosen = self.config.topics
        return [
            name
            for name, kind in self._bag.types.items()
            if (not chosen or name in chosen) and _message_class(kind)
        ]

    def _publisher(self, topic: str) -> Publisher:
        kind = _message_class(self._bag.types[topic])
        return self._node.create_publisher(kind, topic, _profile(self._bag.qos(topic)))


def _message_class(name: str) -> type | None:
    """The Python class of `package/msg/Name`; None where that package is not installed."""
    package, _, kind = name.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), kind, None)
    except ImportError:
        return None


def _profile(recorded: Any) -> QoSProfile:
    """The recorded quality of service; reliable and volatile where none was recorded."""
    profile = QoSProfile(depth=10)
    offered = offered_qualities(recorded)
    if offered.best_effort:
        profile.reliability = ReliabilityPolicy.BEST_EFFORT
    if offered.latched:
        profile.durability = DurabilityPolicy.TRANSIENT_LOCAL
    return profile
