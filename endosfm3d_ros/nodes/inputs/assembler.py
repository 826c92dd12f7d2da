"""Puts the parts of one frame together by their stamps; knows no rclpy, so it is tested alone.

Not `message_filters`: its Python synchroniser starves when a bag loops and holds its lock for
ever when a callback raises.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.eye_sync import EyeSync
from endosfm3d_ros.nodes.inputs.stamped_poses import StampedPoses
from endosfm3d_ros.types import Frame, StereoGeometry

SECOND = 1_000_000_000
SHOWN, NAMED = 60, 8  # letters of a frame_id, and frame_ids, that reasons name
MEASURED = ("right", "depth")  # a part of another moment would be wrong depth


@dataclass(frozen=True)
class AssemblerConfig:
    """When parts belong together and when time has jumped; all times in nanoseconds."""

    slop: int = 16_000_000  # between the eyes, beside a constant offset that is measured
    buffer: int = 5  # incomplete frames kept
    back_jump: int = SECOND // 4  # a stamp older by more is a restart, by less a late frame
    late_frames: int = 3  # late frames in a row that are a restart after all
    forward_jump: int = 60 * SECOND  # a longer gap is a restart too
    on_jump: str = "reset"  # reset | skip
    other_frames: int = 10  # images in a row of another frame_id that are another camera


@dataclass
class Parts:
    """What has arrived for one left image."""

    stamp: int
    frame_id: str
    image: np.ndarray
    others: dict[str, np.ndarray] = field(default_factory=dict)  # right, depth, labels


class FrameAssembler:
    """Collects left images and their companions and emits complete frames in time order.

    Args:
        emit: called with each complete frame.
        on_jump: called with the size of a time jump in nanoseconds, before the frame after it.
        config: settings.
        on_other: called with a sentence when another camera takes the place of the first.
        required: names of parts without which a frame is not emitted: right, depth.
        optional: parts that are waited for until the next left image comes, and how long, in
            nanoseconds, the last frame that had one must be past: {"labels": 0} for every frame.
    """

    def __init__(
        self,
        emit: Callable[[Frame], None],
        on_jump: Callable[[int], None],
        config: AssemblerConfig | None = None,
        on_other: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self.config = config or AssemblerConfig()
        self.required: set[str] = set()
        self.optional: dict[str, int] = {}
        self._releasing = False
        self.waits_for_calibration = False  # hold frames until `set_calibration` was called
        self.rejected: Counter[str] = Counter()
        self._emit = emit
        self._on_jump, self._on_other = on_jump, on_other
        self._camera: PinholeCamera | None = None
        self._stereo: StereoGeometry | None = None
        self._pending: OrderedDict[int, Parts] = OrderedDict()
        self.poses = StampedPoses()  # from outside, 4x4 camera-to-base
        self.sync = {name: EyeSync(self.config.slop) for name in MEASURED}
        self.clear()

    def clear(self) -> None:
        """Forget all parts and the time of the last frame; calibration stays."""
        if self._pending:
            self.rejected["of a scene that was given up"] += len(self._pending)
        self._pending = OrderedDict()
        self._companions: dict[str, OrderedDict[int, np.ndarray]] = {}
        self._last: int | None = None
        self._had: dict[str, int] = {}  # stamp of the last frame with each part
        self._late = self._others = 0
        self._frame_id: str | None = None
        for sync in self.sync.values():
            sync.clear()

    def set_calibration(
        self, camera: PinholeCamera | None, stereo: StereoGeometry | None = None
    ) -> None:
        """Calibration of the frames to come; releases what waited for it."""
        self._camera, self._stereo = camera, stereo
        self.waits_for_calibration = False
        self._release()

    def add_image(self, stamp: int, frame_id: str, image: np.ndarray) -> None:
        """A left (or only) image."""
        if not self._in_order(stamp) or not self._same_camera(frame_id):
            return
        self._last = stamp
        self._pending[stamp] = Parts(stamp, frame_id, image)
        for sync in self.sync.values():
            sync.left(stamp)
        for name, waiting in self._companions.items():
            match = self._partner(name, waiting, stamp, to_left=False)
            if match is not None:
                self._pending[stamp].others[name] = waiting.pop(match)
        self._release()

    def add_companion(self, name: str, stamp: int, value: np.ndarray) -> None:
        """A part that belongs to a left image: `right`, `depth` or `labels`."""
        if name in self.sync:
            self.sync[name].other(stamp)
        match = self._partner(name, self._pending, stamp, to_left=True)
        if match is not None and name not in self._pending[match].others:
            self._pending[match].others[name] = value
            self._release()
            return
        waiting = self._companions.setdefault(name, OrderedDict())
        waiting[stamp] = value
        while len(waiting) > self.config.buffer:
            waiting.popitem(last=False)

    def waiting(self) -> str:
        """Which part the images that have come lack; empty where they lack none."""
        lacking = sorted(
            {name for parts in self._pending.values() for name in self.required - set(parts.others)}
        )
        slop = self.config.slop * 1e-6
        said = [
            f"{name} ({len(self._companions[name])} came, none within {slop:.0f} ms of an image)"
            if self._companions.get(name)
            else f"{name} (none came)"
            for name in lacking
        ]
        return f"images wait for the part {', '.join(said)}" if said else ""

    def _partner(
        self, name: str, stamps: OrderedDict[int, object], stamp: int, to_left: bool
    ) -> int | None:
        """The stamp on the other side that is of the same moment."""
        if name in self.sync:
            return self.sync[name].match(stamp, list(stamps), to_left)
        best = min(stamps, key=lambda other: abs(other - stamp), default=None)
        return best if best is not None and abs(best - stamp) <= self.config.slop else None

    def _in_order(self, stamp: int) -> bool:
        """Whether to take this stamp; a jump resets, a repeated or late one is rejected."""
        if self._last is None:
            return True
        c, step = self.config, stamp - self._last
        if step == 0:
            self.rejected["repeated stamp"] += 1
            return False
        self._late = self._late + 1 if step < 0 else 0
        restart = step < -c.back_jump or step > c.forward_jump or self._late >= c.late_frames
        if restart and c.on_jump == "reset":
            self._restart(stamp, step)
            return True
        if step < 0:
            self.rejected["late stamp"] += 1
            return False
        return True

    def _restart(self, stamp: int, step: int) -> None:
        """Time has jumped: drop the old time's parts, keep what already came of the new one."""
        kept = {
            name: OrderedDict(
                (other, value) for other, value in waiting.items() if abs(other - stamp) < SECOND
            )
            for name, waiting in self._companions.items()
        }
        self.clear()
        self._companions = kept
        self._on_jump(step)

    def _same_camera(self, frame_id: str) -> bool:
        """A stream that changes its frame is another camera: not mixed into this scene.

        Where only the other one comes, it is the camera, and a new scene begins.
        """
        if self._frame_id is None:
            self._frame_id = frame_id
        if frame_id == self._frame_id:
            self._others = 0
            return True
        self._others += 1
        words = f"frame_id changed from '{self._frame_id[:SHOWN]}' to '{frame_id[:SHOWN]}'"
        if self._others >= self.config.other_frames:
            self.clear()
            self._frame_id = frame_id
            self._on_other(words)
            return True
        known = sum(reason.startswith("frame_id") for reason in self.rejected)
        if words not in self.rejected and known >= NAMED:
            words = "frame_id changed to yet another"
        self.rejected[words] += 1
        return False

    def _release(self) -> None:
        """Emit what is complete, oldest first; drop what cannot become complete any more."""
        if self._releasing:  # whoever takes a frame may change the calibration
            return
        self._releasing = True
        try:
            self._emit_complete()
        finally:
            self._releasing = False

    def _emit_complete(self) -> None:
        if self.waits_for_calibration:
            self._limit()
            return
        for stamp in list(self._pending):
            parts = self._pending.get(stamp)
            if parts is None:  # a reset in between
                return
            newest = next(reversed(self._pending)) == stamp
            if self.required <= parts.others.keys():
                if newest and not self._awaited(stamp) <= parts.others.keys():
                    continue
                self._discard_before(stamp)
                del self._pending[stamp]
                self._had.update(dict.fromkeys(parts.others, stamp))
                self._emit(self._frame(parts))
        self._limit()

    def _awaited(self, stamp: int) -> set[str]:
        """Optional parts that are due."""
        return {
            name
            for name, every in self.optional.items()
            if name not in self._had or stamp - self._had[name] >= every
        }

    def _discard_before(self, stamp: int) -> None:
        for other in [key for key in self._pending if key < stamp]:
            del self._pending[other]
            self.rejected["incomplete frame"] += 1

    def _limit(self) -> None:
        while len(self._pending) > self.config.buffer:
            self._pending.popitem(last=False)
            reason = "no calibration" if self.waits_for_calibration else "incomplete frame"
            self.rejected[reason] += 1

    def _frame(self, parts: Parts) -> Frame:
        return Frame(
            stamp=parts.stamp,
            image=parts.image,
            frame_id=parts.frame_id,
            camera=self._camera,
            right_image=parts.others.get("right"),
            stereo=self._stereo,
            depth=parts.others.get("depth"),
            tool_labels=parts.others.get("labels"),
            pose=self.poses.at(parts.stamp),
        )
