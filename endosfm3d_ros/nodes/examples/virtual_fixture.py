"""A virtual fixture on a simulated arm: slow near tissue, still where the distance is not known.

    python -m endosfm3d_ros.nodes.examples.virtual_fixture --ros-args -p margin:=0.004

Listens to `wanted` (TwistStamped) and the pipeline's `tools/clearance`, publishes `allowed`
(TwistStamped) and the tip of an arm that follows it (`tip`, PointStamped) fifty times a second.
A command that is not repeated for a fifth of a second is none.
"""

from __future__ import annotations

from time import monotonic

import numpy as np
import rclpy
from geometry_msgs.msg import PointStamped, TwistStamped
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node

from endosfm3d_ros.msg import ToolClearance
from endosfm3d_ros.nodes.examples.speed_limit import Heard, LimitConfig, SpeedLimit
from endosfm3d_ros.nodes.outputs.qos import OUTPUT

PERIOD = 0.02  # s
COMMAND_LIFE = 0.2  # s
LEFT_AFTER = 5.0  # s after which an instrument that nobody speaks of no longer counts


class VirtualFixture(Node):
    """Limits a commanded velocity by the clearance of an instrument."""

    def __init__(self) -> None:
        super().__init__("virtual_fixture")
        default = LimitConfig()
        values = {
            name: self.declare_parameter(name, getattr(default, name)).value
            for name in ("margin", "free", "patience")
        }
        instrument = self.declare_parameter("instrument", 0).value
        self._limit = SpeedLimit(LimitConfig(**values), instrument)
        self._wanted, self._commanded = np.zeros(3), -np.inf
        self._tip = np.zeros(3)
        self._said = ""
        self.create_subscription(TwistStamped, "wanted", self._command, OUTPUT)
        self.create_subscription(
            ToolClearance, "/endosfm3d/tools/clearance", self._clearance, OUTPUT
        )
        self._allowed = self.create_publisher(TwistStamped, "allowed", OUTPUT)
        self._place = self.create_publisher(PointStamped, "tip", OUTPUT)
        self.create_timer(PERIOD, self._step)

    def _command(self, message: TwistStamped) -> None:
        v = message.twist.linear
        self._wanted, self._commanded = np.array([v.x, v.y, v.z]), monotonic()

    def _clearance(self, message: ToolClearance) -> None:
        """On the steady clock: `age` is from the image to the sender, the way here takes little."""
        heard = Heard(
            message.valid, message.lower_bound_95, message.reason, monotonic() - message.age
        )
        self._limit.hear(message.id, heard)

    def _step(self) -> None:
        now = monotonic()
        self._limit.forget_silent(now, LEFT_AFTER)
        factor, why = self._limit.factor(now)
        commanded = now - self._commanded < COMMAND_LIFE
        velocity = factor * self._wanted if commanded else np.zeros(3)
        self._tip += PERIOD * velocity
        if why != self._said and bool(why) != bool(self._said):
            self.get_logger().info(f"limited: {why}" if why else "not limited")
        self._said = why
        self._publish(velocity)

    def _publish(self, velocity: np.ndarray) -> None:
        stamp = self.get_clock().now().to_msg()
        allowed, tip = TwistStamped(), PointStamped()
        allowed.header.stamp = tip.header.stamp = stamp
        linear, point = allowed.twist.linear, tip.point
        linear.x, linear.y, linear.z = map(float, velocity)
        point.x, point.y, point.z = map(float, self._tip)
        self._allowed.publish(allowed)
        self._place.publish(tip)


def main() -> None:
    """Until an interrupt."""
    rclpy.init()
    try:
        rclpy.spin(VirtualFixture())
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
