"""No exception leaves a callback."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rclpy.node import Node

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.nodes.health.health import Health

REMEMBERED = 200  # sentences that were already said; bounds log and memory


def located(error: Exception) -> str:
    """An error that nobody expected, with the place where it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{error!r}{place}"


class Guard:
    """Wraps callbacks: bad input is counted and said once, anything else is logged as an error."""

    def __init__(self, node: Node, health: Health) -> None:
        self._node = node
        self._health = health
        self._said: set[str] = set()

    def __call__(self, callback: Callable[..., None], image: bool = False) -> Callable[..., None]:
        """The callback with every exception caught.

        Args:
            callback: of a subscription or a timer.
            image: whether each call is about one image, which counts as rejected then.
        """
        counts = self._health.rejected if image else self._health.refused

        def call(*arguments: Any) -> None:
            try:
                callback(*arguments)
            except InputError as error:
                counts["unusable message"] += 1
                self.warn_once(f"rejected: {error}")
            except Exception as error:
                counts["failed callback"] += 1
                log = self._node.get_logger()
                log.error(f"callback failed: {located(error)}", throttle_duration_sec=2.0)

        return call

    def warn_once(self, sentence: str) -> None:
        """Say a sentence unless it was said before."""
        if sentence not in self._said and len(self._said) < REMEMBERED:
            self._said.add(sentence)
            self._node.get_logger().warning(sentence)
