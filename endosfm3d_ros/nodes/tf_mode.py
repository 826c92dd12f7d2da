"""Who places the camera in TF: a frame has one parent, and it may already have one."""

from __future__ import annotations

from rclpy.node import Node
from rclpy.qos import QoSProfile
from tf2_msgs.msg import TFMessage

from endosfm3d_ros.nodes.qos import LATCHED, TF


class TfMode:
    """Answers "true", "false" or "inverted"; listens to TF for a parent of the camera frame.

    When some other node already publishes a parent of the optical frame, our map is put below it
    instead, with one warning: two parents would make the tree flicker.
    """

    def __init__(self, node: Node, requested: str, own_frames: set[str]) -> None:
        self.mode = requested
        self._node = node
        self._own = own_frames
        self._parents: dict[str, str] = {}
        self._subscriptions = []
        if requested == "true":
            static = QoSProfile(
                depth=100, reliability=LATCHED.reliability, durability=LATCHED.durability
            )
            self._subscriptions = [
                node.create_subscription(TFMessage, "/tf_static", self._listen, static),
                node.create_subscription(TFMessage, "/tf", self._listen, TF),
            ]

    def close(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    def for_camera(self, frame_id: str) -> str:
        """How to publish the pose of this camera frame."""
        parent = self._parents.get(frame_id)
        if self.mode == "true" and parent is not None:
            self._node.get_logger().warning(
                f"'{frame_id}' already has the TF parent '{parent}': the map is published below "
                "the camera (publish_tf: inverted)"
            )
            self.mode = "inverted"
        return self.mode

    def _listen(self, message: TFMessage) -> None:
        for transform in message.transforms:
            parent = transform.header.frame_id.lstrip("/")
            if parent not in self._own:
                self._parents[transform.child_frame_id.lstrip("/")] = parent
