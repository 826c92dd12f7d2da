"""What runs beside an active pipeline: heartbeat, memory watch, flight recorder, map copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.locations import flight_folder, map_folder
from endosfm3d_ros.nodes.health.flight_recorder import FlightRecorder, Tape
from endosfm3d_ros.nodes.health.heartbeat import Heartbeat
from endosfm3d_ros.nodes.health.memory_watch import MemoryWatch
from endosfm3d_ros.nodes.inputs.subscriptions import Offer
from endosfm3d_ros.nodes.services.between_frames import Between
from endosfm3d_ros.nodes.services.map_snapshots import MapSnapshots
from endosfm3d_ros.pipeline.pipeline import Pipeline

FOLLOW_PERIOD = 0.5  # s between looks for inputs to record


class Beside:
    """Made when the node becomes active, closed when it no longer is.

    Args:
        node: for topics and log.
        values: the node's parameters.
        between: has work done between two frames, and waits for it.
        soon: has work done between two frames, and does not.
        offers: what the node listens to now.
        on_stuck: hears for how many seconds the executor has not come round.
    """

    def __init__(
        self,
        node: Node,
        values: dict[str, Any],
        between: Between,
        soon: Callable[[Callable[[Pipeline], None]], None],
        offers: Callable[[], list[Offer]],
        on_stuck: Callable[[float], None],
    ) -> None:
        self._node, self._soon = node, soon
        self.memory = MemoryWatch(values["memory_limit"], self._spare_memory)
        self.heart = Heartbeat(on_stuck)
        self.loops: dict[Callable[[], None], float] = {}  # what timers call, and how often
        self._recorder: FlightRecorder | None = None
        if values["flight_recorder"]:
            tape = Tape(values["flight_recorder"], values["flight_memory"])
            flights = values["flight_folder"]
            self._recorder = FlightRecorder(node, tape, lambda: flight_folder(flights), offers)
            self.loops[self._recorder.follow] = FOLLOW_PERIOD
        maps = values["map_folder"]
        self._copies = MapSnapshots(between, lambda: map_folder(maps), node.get_logger())
        if values["tissue_map"] and values["map_snapshots"]:
            self.loops[self._copies.save] = values["map_snapshots"]
        self._reload = values["tissue_map"] and values["map_reload"]

    def start(self) -> None:
        """The node is active."""
        self.heart.start()
        if self._reload:
            self._copies.load()

    def close(self) -> None:
        """The node is active no longer."""
        self.heart.stop()
        if self._recorder is not None:
            self._recorder.close()

    def error_began(self) -> None:
        """The status has become an error."""
        if self._recorder is not None:
            self._recorder.error_began()

    def write_flight(self) -> str:
        """Write what the recorder has kept.

        Raises:
            EndoError: it is off, has nothing, or cannot write.
        """
        if self._recorder is None:
            raise ConfigurationError(
                "nothing is recorded: set the parameter flight_recorder to seconds"
            )
        return self._recorder.write()

    def _spare_memory(self) -> None:
        self._node.get_logger().warning("memory is scarce: the scene is made with less detail")
        self._soon(lambda pipeline: pipeline.spare_memory())
