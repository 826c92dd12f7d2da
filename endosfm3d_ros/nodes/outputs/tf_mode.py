"""Who places the camera in TF: a frame has one parent, and it may already have one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from rclpy.node import Node
from rclpy.qos import QoSProfile
from tf2_msgs.msg import TFMessage

from endosfm3d_ros.nodes.outputs.qos import LATCHED, TF

CONFIRMED = 3  # times that a parent must be said ...
SPAN = 0.5  # ... over so many seconds: a single message may be a slip
DOUBT = 1.0  # s for which we say nothing after a claim that is not confirmed
FORGOTTEN = 10.0  # s without a word after which a parent is gone; tf2 keeps as much


@dataclass
class Claim:
    """Somebody says what the parent of a frame is."""

    parent: str
    first: float  # s, steady clock
    last: float
    times: int = 1
    static: bool = False

    @property
    def confirmed(self) -> bool:
        """Static transforms are said once by nature."""
        return self.static or (self.times >= CONFIRMED and self.last - self.first >= SPAN)


class ParentWatch:
    """Parents that others give to frames, by what they say on /tf and /tf_static.

    Args:
        own: frames that are ours, whose children say nothing.
        clock: seconds that only grow.
    """

    LIMIT = 1000  # frames; more than that are not remembered

    def __init__(self, own: set[str], clock: Callable[[], float] = monotonic) -> None:
        self._own = own
        self._clock = clock
        self._claims: dict[str, Claim] = {}

    def heard(self, child: str, parent: str, static: bool = False) -> None:
        """One transform of somebody's message."""
        if parent in self._own or child == parent:
            return
        now, claim = self._clock(), self._claims.get(child)
        if claim is None or claim.parent != parent or now - claim.last > FORGOTTEN:
            if claim is not None and claim.confirmed and now - claim.last <= DOUBT:
                return  # one that is confirmed is not put in doubt by a single other one
            if claim is None and len(self._claims) >= self.LIMIT:
                return
            self._claims[child] = Claim(parent, now, now, static=static)
        else:
            claim.last, claim.times = now, claim.times + 1
            claim.static |= static

    def forget_static(self) -> None:
        """Nobody publishes static transforms any more."""
        self._claims = {child: c for child, c in self._claims.items() if not c.static}

    def parent_of(self, frame: str) -> str | None:
        """Who has the frame; None where nobody is known to."""
        claim = self._claims.get(frame)
        if claim is None or not claim.confirmed:
            return None
        return claim.parent if claim.static or self._age(claim) <= FORGOTTEN else None

    def in_doubt(self, frame: str) -> bool:
        """Whether somebody has just claimed the frame, and it is not known yet if that is meant."""
        claim = self._claims.get(frame)
        return claim is not None and not claim.confirmed and self._age(claim) <= DOUBT

    def _age(self, claim: Claim) -> float:
        return self._clock() - claim.last


class TfMode:
    """Answers "true", "false" or "inverted"; listens to TF for a parent of the camera frame.

    When some other node goes on publishing a parent of the optical frame, our map is put below it
    instead, with a warning: two parents would make the tree flicker. A single message changes
    nothing for good, and when the other node falls silent our own parent comes back.
    """

    def __init__(self, node: Node, requested: str, own_frames: set[str]) -> None:
        self.mode = requested
        self._node = node
        self._watch = ParentWatch(own_frames)
        self._subscriptions = []
        if requested == "true":
            static = QoSProfile(
                depth=100, reliability=LATCHED.reliability, durability=LATCHED.durability
            )
            self._subscriptions = [
                node.create_subscription(TFMessage, "/tf_static", self._listen_static, static),
                node.create_subscription(TFMessage, "/tf", self._listen, TF),
            ]
        self._requested = requested

    def close(self) -> None:
        """Stop listening."""
        for subscription in self._subscriptions:
            self._node.destroy_subscription(subscription)
        self._subscriptions = []

    def for_camera(self, frame_id: str) -> str:
        """How to publish the pose of this camera frame; "false" while a claim is in doubt."""
        if self._requested != "true":
            return self.mode
        if not self._node.count_publishers("/tf_static"):
            self._watch.forget_static()
        parent = self._watch.parent_of(frame_id)
        mode = "true" if parent is None else "inverted"
        if mode != self.mode:
            self._say(frame_id, parent)
        self.mode = mode
        return "false" if self._watch.in_doubt(frame_id) else mode

    def _say(self, frame_id: str, parent: str | None) -> None:
        log = self._node.get_logger()
        if parent is None:
            log.warning(f"'{frame_id}' has no other TF parent any more: the camera is placed again")
        else:
            log.warning(
                f"'{frame_id}' already has the TF parent '{parent}': the map is published below "
                "the camera (publish_tf: inverted)"
            )

    def _listen(self, message: TFMessage) -> None:
        self._note(message, static=False)

    def _listen_static(self, message: TFMessage) -> None:
        self._note(message, static=True)

    def _note(self, message: TFMessage, static: bool) -> None:
        for transform in message.transforms:
            parent = transform.header.frame_id.lstrip("/")
            self._watch.heard(transform.child_frame_id.lstrip("/"), parent, static)
