"""Publishers of the scene: small messages at once, heavy ones only where somebody listens."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from endosfm3d_ros.nodes.messages import scene as messages
from endosfm3d_ros.nodes.messages.scene import TOPICS, FrameNames
from endosfm3d_ros.nodes.messages.stage_output import MAX_AGE, PublishContext, StageOutput
from endosfm3d_ros.nodes.outputs.qos import LATCHED, OUTPUT, TF, overridable
from endosfm3d_ros.nodes.outputs.tf_mode import TfMode
from endosfm3d_ros.types import SceneUpdate

SUBSCRIBER_POLL = 0.2  # s; asking the middleware who listens costs more than it looks


class SceneOutputs:
    """Owns the publishers of the node's private topics and of TF.

    Args:
        node: creates the publishers.
        tf_mode: says for every frame whether and how TF is published.
        stages: outputs of optional stages.
    """

    def __init__(
        self, node: Node, names: FrameNames, tf_mode: TfMode, stages: Sequence[StageOutput] = ()
    ) -> None:
        self.names = names
        self.max_points = 40_000
        self.cloud_rate = 10.0
        self._node = node
        self._tf_mode = tf_mode
        self._stages = stages
        topics = TOPICS | {topic: kind for e in stages for topic, kind in e.topics.items()}
        self._publishers = {
            topic: node.create_publisher(
                kind,
                f"~/{topic}",
                LATCHED if topic == "intrinsics" else OUTPUT,
                qos_overriding_options=overridable(),
            )
            for topic, kind in topics.items()
        }
        self._tf = node.create_publisher(TFMessage, "/tf", TF)
        self._next_cloud = 0.0
        self._arrival: float | None = None  # of the last image published, steady clock
        self._listened: dict[str, tuple[float, bool]] = {}

    def destroy(self) -> None:
        """Take the topics down."""
        for stage in self._stages:
            stage.close()
        for publisher in (*self._publishers.values(), self._tf):
            self._node.destroy_publisher(publisher)
        self._publishers = {}

    def publish(self, update: SceneUpdate, arrival: float) -> None:
        """One update on every topic: poses first, then images, then the cloud.

        Args:
            update: of one image.
            arrival: when that image came, s of the steady clock.
        """
        self._arrival = arrival
        names = messages.named(self.names, update.frame.frame_id)
        self._publish_transforms(update, names)
        light = messages.pose_messages(update, names) | messages.camera_messages(update, names)
        for topic, message in light.items():
            self._publishers[topic].publish(message)
        for topic, message in self._depth(update, names).items():
            self._publishers[topic].publish(message)
        heavy = self._clouds_due()
        for stage in self._stages:
            wanted = frozenset(topic for topic in stage.topics if self._heard(topic))
            context = PublishContext(names, wanted, heavy, monotonic() - arrival)
            for topic, message in stage.messages(update, context):
                self._publishers[topic].publish(message)
        if heavy and self._heard("points"):
            cloud = messages.points_message(update, names, self.max_points)
            self._publishers["points"].publish(cloud)

    def watch(self, now: float) -> None:
        """Withdraw what is older than it may be; called by a timer."""
        if self._arrival is not None and now - self._arrival > MAX_AGE:
            age = now - self._arrival
            self.withdraw(f"the newest processed image is {age:.1f} s old", age)

    def withdraw(self, reason: str, age: float = 0.0) -> None:
        """Say of everything that feeds controllers that it is not valid now, and why."""
        for stage in self._stages:
            for topic, message in stage.withdrawals(reason, age):
                self._publishers[topic].publish(message)

    def _publish_transforms(self, update: SceneUpdate, names: FrameNames) -> None:
        mode = self._tf_mode.for_camera(names.camera)
        if mode != "false":
            edges = messages.transforms(update, names, inverted=mode == "inverted")
            self._tf.publish(TFMessage(transforms=edges))

    def _depth(self, update: SceneUpdate, names: FrameNames) -> dict[str, object]:
        topics = ("depth/image", "depth/confidence", "depth/camera_info")
        if not any(self._heard(topic) for topic in topics):
            return {}
        made = messages.depth_messages(update, names)
        return {topic: message for topic, message in made.items() if self._heard(topic)}

    def _clouds_due(self) -> bool:
        """Whether clouds may go out with this frame; asked once per frame."""
        now, period = monotonic(), 1 / self.cloud_rate
        # Half a millisecond of grace: at the camera's own rate no cloud is skipped by jitter.
        if now < self._next_cloud - 5e-4:
            return False
        # In step with the rate and not with the last cloud: a late one does not delay the next.
        self._next_cloud = max(self._next_cloud, now - period) + period
        return True

    def _heard(self, topic: str) -> bool:
        """Whether somebody subscribes; the answer is kept for a moment."""
        now = monotonic()
        asked, answer = self._listened.get(topic, (-SUBSCRIBER_POLL, False))
        if not answer or now - asked > SUBSCRIBER_POLL:
            answer = self._publishers[topic].get_subscription_count() > 0
            self._listened[topic] = (now, answer)
        return answer
