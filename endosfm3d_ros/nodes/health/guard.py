"""No exception leaves a callback."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.nodes.health.health import Health

REMEMBERED = 200  # sentences that were already said; bounds log and memory


class Guard:
    """Wraps callbacks: bad input is counted and said once, anything else is logged as an error."""

    def __init__(self, node: Node, health: Health) -> None:
        self._node = node
        self._health = health
        self._said: set[str] = set()

    def __call__(self, callback: Callable[..., None]) -> Callable[..., None]:
        """The callback with every exception caught."""

        def call(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except InputError as error:
                self._health.rejected["unusable message"] += 1
                self.warn_once(f"rejected: {error}")
            except Exception as error:
                self._health.rejected["failed callback"] += 1
                log = self._node.get_logger()
                log.error(f"callback failed: {error!r}", throttle_duration_sec=2.0)

        return call

    def warn_once(self, sentence: str) -> None:
        """Say a sentence unless it was said before."""
        if sentence not in self._said and len(self._said) < REMEMBERED:
            self._said.add(sentence)
            self._node.get_logger().warning(sentence)
