"""Two moving instruments over breathing tissue, sent through a probe as a theatre would."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from endosfm3d_ros.msg import ToolClearance
from node_harness import LEFT, STEREO_TOPICS, Probe
from sensor_msgs.msg import Image

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.nodes.messages.conversions import image_message, nanoseconds
from endosfm3d_ros.types import Frame

SIZE = {"width": 320, "height": 256}
GOOD, DEGRADED, INVALID = range(3)


@dataclass(frozen=True)
class Shot:
    """One moment; a fault changes it before it is sent."""

    frame: Frame
    mask: np.ndarray


def shots(frames: int = 10, fps: float = 8.0, scene: str = "instruments") -> list[Shot]:
    """The scene to and fro, so that it can go on for ever."""
    clip = SimulatedSequence(scene, frames=frames, fps=fps, **SIZE)
    there = [Shot(clip[i], clip.instances(i)) for i in range(frames)]
    return [*there, *there[-2:0:-1]]


class LiveScene:
    """Sends shots at a pace; remembers what was sent last."""

    def __init__(self, probe: Probe, clip: list[Shot], rate: float = 8.0) -> None:
        self.probe, self._clip, self._rate = probe, clip, rate
        self._next = 0
        self.newest_sent = 0  # stamp in nanoseconds
        probe.collect("tools/clearance", ToolClearance)
        probe.connect(*STEREO_TOPICS, "tool_mask")

    def play(
        self,
        seconds: float,
        fault: Callable[[Shot], Shot] = lambda shot: shot,
        until: Callable[[], object] = lambda: False,
        late: float = 0.0,
    ) -> bool:
        """Send for some time, or until something comes true; whether it did.

        Args:
            seconds: at most.
            fault: what becomes of a shot on its way.
            until: asked after every shot.
            late: seconds by which images arrive after their stamps.
        """
        end = due = time.monotonic()
        end += seconds
        while time.monotonic() < end:
            shot = fault(self._clip[self._next % len(self._clip)])
            self._next += 1
            self.newest_sent = time.time_ns() - round(late * 1e9)
            self._send(replace(shot, frame=replace(shot.frame, stamp=self.newest_sent)))
            due += 1 / self._rate
            self.probe.spin(max(0.005, due - time.monotonic()))
            if until():
                return True
        return bool(until())

    def _send(self, shot: Shot) -> None:
        labels = image_message(shot.mask.astype(np.uint8), "mono8", shot.frame.stamp, LEFT)
        self.probe.publisher("tool_mask", Image).publish(labels)
        self.probe.send_stereo(shot.frame)

    # --- what a consumer sees ----------------------------------------------------------------

    @property
    def clearances(self) -> list[ToolClearance]:
        """All that was said."""
        return self.probe.messages["tools/clearance"]

    def valid(self, since: int = 0) -> list[ToolClearance]:
        """What was said to be valid from a position in the list on."""
        return [message for message in self.clearances[since:] if message.valid]

    def mark(self) -> int:
        """Where the list ends now."""
        return len(self.clearances)

    @property
    def status(self):
        """The newest status; None before the first."""
        return self.probe.messages["status"][-1] if self.probe.messages["status"] else None

    def grade(self, part: str) -> tuple[int, str]:
        """What the newest status says of a part."""
        found = [(g.grade, g.reason) for g in self.status.grades if g.name == part]
        return found[0] if found else (INVALID, "nothing was said")

    def says(self, text: str, level: int) -> bool:
        """Whether the newest status has these words at this level."""
        return (
            self.status is not None and self.status.level == level and text in self.status.message
        )

    def is_well(self) -> bool:
        """Whether some clearance of the last two images is valid."""
        return any(message.valid for message in self.clearances[-4:])

    def newest_depth(self) -> int:
        """Stamp of the newest depth in nanoseconds."""
        return nanoseconds(self.probe.messages["depth/image"][-1].header.stamp)
