"""What every optional stage that has something to say to ROS offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from endosfm3d_ros.nodes.messages.scene import FrameNames
from endosfm3d_ros.types import SceneUpdate

MAX_AGE = 0.5  # s of an image, after which nothing computed from it may steer anything


@dataclass(frozen=True)
class PublishContext:
    """What is known when an update is published."""

    names: FrameNames
    wanted: frozenset[str]  # topics that somebody listens to
    clouds: bool  # whether clouds are due
    age: float  # s since the image came


class StageOutput(ABC):
    """Topics that one optional stage adds; each method yields (topic, message) of what is due."""

    topics: dict[str, type]

    @abstractmethod
    def messages(
        self, update: SceneUpdate, context: PublishContext
    ) -> Iterator[tuple[str, object]]:
        """What an update says, of what is wanted."""

    def withdrawals(self, reason: str, age: float) -> Iterator[tuple[str, object]]:
        """What must not be believed any more, `age` seconds after the last image."""
        return iter(())

    @abstractmethod
    def close(self) -> None:
        """Free what outlives a message; nothing follows."""
