"""How long images were under way, by their stamps: late ones must not pass for new ones.

One clock or two cannot be told by delays alone. What is assumed: a delay of less than half a second
is that of the way; one of minutes is no delay but another clock, or a recording; between the two
the images are late, unless the user says that the clocks differ.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise

from endosfm3d_ros.gates.limits import CLOCK_DRIFT, OTHER_CLOCK, SHARED_CLOCK

CHOICES = ("auto", "shared", "other", "recording")
WINDOW = 10.0  # s over which the least delay of another clock is looked for
LEARNT = 5  # images from which the pace of a recording is known
KEPT = 600  # delays


class Delay:
    """Delays of one stream.

    Args:
        clock: shared: stamps are of this machine's clock; other: they are not; recording: they are
            of a recording that is played at any pace, so nothing is late; auto: as above.
    """

    def __init__(self, clock: str = "auto") -> None:
        self._clock = clock
        self.clear()

    def clear(self) -> None:
        """Another stream: its clock is not known."""
        self._delays: deque[tuple[float, float]] = deque(maxlen=KEPT)  # (time, delay) in s
        self._floor: float | None = None  # least delay of the stream, drift allowed for
        self.late = 0.0  # s by which the last image was late

    @property
    def offset(self) -> float:
        """Seconds from the sender's clock to ours that are taken out; 0 where it is the same."""
        if self._floor is None:
            return 0.0
        if self._other:
            return self._least(self._delays[-1][0])
        return min(self._floor, 0.0)  # an image from the future: its clock is ahead

    @property
    def words(self) -> str:
        """What is assumed about the clock of the images; empty where it is this machine's."""
        if self._clock == "recording":
            return (
                "stamps are taken for those of a recording (image_clock): no image counts as late"
            )
        if self._floor is None or (not self._other and self.offset > -SHARED_CLOCK.value):
            return ""
        where = "ahead of" if self.offset < 0 else "behind"
        return (
            f"stamps are {where} this machine's clock: taken for another clock or a recording, and "
            "delays are counted from the quickest images"
        )

    def arrived(self, stamp: int, now: int) -> float:
        """Seconds by which an image is late.

        Args:
            stamp: of the image in nanoseconds.
            now: nanoseconds of the node's clock at its arrival; 0 while that does not run.
        """
        if now == 0 or self._clock == "recording":
            return 0.0
        time, delay = now * 1e-9, (now - stamp) * 1e-9
        if self._delays and time < self._delays[-1][0]:
            self.clear()  # the node's clock went back
        if self._floor is None:
            self._floor = delay
        else:
            drift = CLOCK_DRIFT.value * (time - self._delays[-1][0])
            self._floor = min(self._floor + drift, delay)
        self._delays.append((time, delay))
        self.late = max(0.0, delay - self.offset)
        return self.late

    @property
    def _other(self) -> bool:
        """Whether the sender's clock is another one."""
        if self._clock != "auto" or self._floor is None:
            return self._clock == "other"
        return not -SHARED_CLOCK.value <= self._floor < OTHER_CLOCK.value

    def _least(self, now: float) -> float:
        """The delay that an image without any would have now, at the pace of the recording."""
        recent = [(t, d) for t, d in self._delays if t > now - WINDOW]
        pace = self._pace(recent)
        return min(d + pace * (now - t) for t, d in recent)

    def _pace(self, recent: list[tuple[float, float]]) -> float:
        """Seconds by which delays grow in a second, where a recording is played slowly."""
        if len(recent) < LEARNT:
            return 0.0
        steps = sorted((b[1] - a[1]) / (b[0] - a[0]) for a, b in pairwise(recent) if b[0] > a[0])
        return max(0.0, steps[len(steps) // 2]) if steps else 0.0
