"""Publishers of the scene: small messages at once, heavy ones only where somebody listens."""

from __future__ import annotations

from collections.abc import Sequence
from time import monotonic

from rclpy.node import Node
from tf2_msgs.msg import TFMessage

from endosfm3d_ros.gates.limits import MAX_AGE
from endosfm3d_ros.gates.scenes import Judgement
from endosfm3d_ros.nodes.messages.frames import FrameNames
from endosfm3d_ros.nodes.messages.output import Output, PublishContext
from endosfm3d_ros.nodes.messages.scene import transforms
from endosfm3d_ros.nodes.outputs.catalogue import topics_of
from endosfm3d_ros.nodes.outputs.qos import LATCHED, OUTPUT, TF, overridable
from endosfm3d_ros.nodes.outputs.tf_mode import TfMode
from endosfm3d_ros.types import SceneUpdate

SUBSCRIBER_POLL = 0.2  # s; asking the middleware who listens costs more than it looks


class ScenePublishers:
    """Owns the publishers of the node's private topics and of TF.

    Args:
        node: creates the publishers.
        names: of the frames.
        tf_mode: says for every frame whether and how TF is published.
        outputs: of the catalogue, in the order they go out.
    """

    def __init__(
        self, node: Node, names: FrameNames, tf_mode: TfMode, outputs: Sequence[Output]
    ) -> None:
        self.names = names
        self.max_points = 40_000
        self.mark_inferred = True
        self.cloud_rate = 10.0
        self._node = node
        self._tf_mode = tf_mode
        self._outputs = outputs
        self._publishers = {
            name: node.create_publisher(
                topic.kind,
                f"~/{name}",
                LATCHED if topic.latched else OUTPUT,
                qos_overriding_options=overridable(),
            )
            for name, topic in topics_of(outputs).items()
        }
        self._tf = node.create_publisher(TFMessage, "/tf", TF)
        self._next_cloud = 0.0
        self._taken: float | None = None  # of the last image published, steady clock
        self._listened: dict[str, tuple[float, bool]] = {}

    def destroy(self) -> None:
        """Take the topics down."""
        for output in self._outputs:
            output.close()
        for publisher in (*self._publishers.values(), self._tf):
            self._node.destroy_publisher(publisher)
        self._publishers = {}

    def publish(self, update: SceneUpdate, taken: float, judgement: Judgement) -> None:
        """One update on every topic: poses first, then images, then the cloud.

        Args:
            update: of one image.
            taken: when what it shows was taken, s of the steady clock.
            judgement: of the update, which is not held back.
        """
        self._taken = taken
        names = self.names.at(update.frame.frame_id)
        self._publish_transforms(update, names)
        clouds = self._clouds_due()
        for output in self._outputs:
            wanted = frozenset(
                name for name, topic in output.topics.items() if topic.always or self._heard(name)
            )
            context = PublishContext(
                names,
                wanted,
                clouds,
                age=monotonic() - taken,
                max_points=self.max_points,
                doubt=judgement.no_clearance,
                stale_mask=judgement.stale_mask,
                mark_inferred=self.mark_inferred,
            )
            for name, message in output.messages(update, context):
                self._publishers[name].publish(message)

    def watch(self, now: float) -> None:
        """Withdraw what is older than it may be; called by a timer."""
        if self._taken is not None and now - self._taken > MAX_AGE.value:
            age = now - self._taken
            self.withdraw(f"the newest processed image is {age:.1f} s old", age)

    def withdraw(self, reason: str, age: float = 0.0) -> None:
        """Say of everything that feeds controllers that it is not valid now, and why."""
        for output in self._outputs:
            for name, message in output.withdrawals(reason, age):
                self._publishers[name].publish(message)

    def _publish_transforms(self, update: SceneUpdate, names: FrameNames) -> None:
        mode = self._tf_mode.for_camera(names.camera)
        if mode != "false":
            edges = transforms(update, names, inverted=mode == "inverted")
            self._tf.publish(TFMessage(transforms=edges))

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
