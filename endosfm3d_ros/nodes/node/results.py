"""What becomes of a result, on the thread of results: judged, published, noted."""

from __future__ import annotations

from time import monotonic, perf_counter

from rclpy.node import Node

from endosfm3d_ros.errors import EndoError
from endosfm3d_ros.gates.scenes import SceneGate
from endosfm3d_ros.nodes.health.guard import located
from endosfm3d_ros.nodes.health.health import Health
from endosfm3d_ros.nodes.inputs.frame_gate import FrameGate
from endosfm3d_ros.nodes.node.readiness import FirstScene
from endosfm3d_ros.nodes.outputs.publishers import ScenePublishers
from endosfm3d_ros.types import Frame, SceneUpdate


class Results:
    """Takes what the pipeline makes of frames.

    Args:
        node: for its log.
        outputs: where results go.
        health: hears of each.
    """

    def __init__(self, node: Node, outputs: ScenePublishers, health: Health) -> None:
        self._node, self._outputs, self._health = node, outputs, health
        self._first_scene = FirstScene()
        self._gate = SceneGate()
        self.times: FrameGate | None = None  # of the inputs of this activation

    def new_scene(self) -> None:
        """What comes now is not compared with what was."""
        self._gate.clear()

    def update(self, update: SceneUpdate) -> None:
        """Publish a result, unless it cannot be true."""
        start, total = perf_counter(), update.timings["total"]
        times, stamp = self.times, update.frame.stamp
        judgement = self._gate.judge(update, times.stale_mask(stamp))
        if judgement.held:
            self._outputs.withdraw(judgement.held)
            self._health.scene_failed(judgement.held, crashed=False, count="held back")
            return
        arrival, taken = times.arrival(stamp), times.taken(stamp)
        known = arrival is not None
        taken = taken if known else monotonic() - total * 1e-3
        self._outputs.publish(update, taken, judgement)
        milliseconds = {"publish": (perf_counter() - start) * 1e3}
        now = monotonic()
        if known:
            latency = (now - arrival) * 1e3
            milliseconds |= {"latency": latency, "overhead": latency - total}
        self._health.scene_updated(update, milliseconds, now, judgement, taken)
        if sentence := self._first_scene.sentence(update, now):
            self._node.get_logger().info(sentence)

    def error(self, frame: Frame | None, error: Exception) -> None:
        """A frame, or what was to be done between frames, raised."""
        expected = isinstance(error, EndoError)
        sentence = str(error) if expected else located(error)
        counted = "" if frame is None else "failed"
        self._health.scene_failed(sentence, crashed=not expected, count=counted)
        what = "what was to be done between frames" if frame is None else f"frame {frame.stamp}"
        log = self._node.get_logger()
        log.error(f"{what} failed: {sentence}", throttle_duration_sec=2.0)
