"""What every part of the scene that has something to say to ROS offers: topics, and messages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from endosfm3d_ros.nodes.messages.frames import FrameNames
from endosfm3d_ros.types import SceneUpdate


@dataclass(frozen=True)
class Topic:
    """One topic below the node's own name, as publisher, recorder and documents take it."""

    kind: type
    meaning: str
    latched: bool = False  # late subscribers get the last message
    always: bool = False  # goes out whether or not somebody listens
    recorded: bool = True  # by `endosfm3d run`


@dataclass(frozen=True)
class PublishContext:
    """What is known when an update is published."""

    names: FrameNames
    wanted: frozenset[str]  # topics that somebody listens to, or that always go out
    clouds: bool  # whether clouds are due
    age: float  # s since what the image shows was taken
    max_points: int = 40_000  # of one cloud
    doubt: str = ""  # why no distance may be said; empty where one may be
    stale_mask: str = ""  # why its masks are not of this image
    mark_inferred: bool = True  # in pictures for people


class Output(ABC):
    """Some topics of the scene; each method yields (topic, message) of what is due."""

    topics: ClassVar[dict[str, Topic]]

    @abstractmethod
    def messages(
        self, update: SceneUpdate, context: PublishContext
    ) -> Iterator[tuple[str, object]]:
        """What an update says, of what is wanted."""

    def withdrawals(self, reason: str, age: float) -> Iterator[tuple[str, object]]:
        """What must not be believed any more, `age` seconds after the last image."""
        return iter(())

    def close(self) -> None:  # noqa: B027 (most have nothing to free)
        """Free what outlives a message; nothing follows."""
