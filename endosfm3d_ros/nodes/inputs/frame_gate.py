"""When images came, how old they are, and whether frames show anything new."""

from __future__ import annotations

from collections import OrderedDict

from endosfm3d_ros.gates.delay import Delay
from endosfm3d_ros.gates.limits import STILL_FOR
from endosfm3d_ros.gates.stills import InputGate, frozen_words, lag_words, stale_mask_words
from endosfm3d_ros.inputs.report import InputReport, Severity
from endosfm3d_ros.types import Frame

KEPT = 64  # stamps
CLOCKS = "synchronise both computers (PTP, chrony); image_clock: other where that cannot be"
STILLS = "restart the camera or its driver; still_pictures: true for trying out with stills"


class FrameGate:
    """Remembers for every image when it came and of when it is; refuses what is frozen.

    Args:
        clock: of the stamps, see `Delay`.
        stills: whether pictures that do not change are accepted.
        late: seconds by which images may be late before a warning, and before an error.
        report: hears what is wrong, as long as it is.
    """

    def __init__(
        self, clock: str, stills: bool, late: tuple[float, float], report: InputReport
    ) -> None:
        self._delay = Delay(clock)
        self._inputs = InputGate(stills)
        self._late = late
        self._report = report
        self._arrivals: OrderedDict[int, tuple[float, float]] = OrderedDict()
        self._still: OrderedDict[int, float] = OrderedDict()
        self._masks: OrderedDict[int, str] = OrderedDict()

    @property
    def late(self) -> float:
        """Seconds by which the last image was late."""
        return self._delay.late

    def clear(self) -> None:
        """Stamps jumped: another clock, another stream."""
        self._delay.clear()
        self._inputs.clear()

    def image(self, topic: str, stamp: int, steady: float, now: int) -> None:
        """An image came.

        Args:
            topic: that it came on.
            stamp: nanoseconds.
            steady: s of the steady clock.
            now: ns of the node's clock.
        """
        late = self._delay.arrived(stamp, now)
        _keep(self._arrivals, stamp, (steady, late))
        words = self._delay.words
        if words:
            self._report.assumed(topic, "clock", words, CLOCKS)
        else:
            self._report.settle(topic, "clock")
        warn, error = self._late
        if late <= warn:
            self._report.settle(topic, "late")
            return
        severity = Severity.ERROR if late > error else Severity.WARN
        said = f"late: images arrive {late:.1f} s after their stamps"
        self._report.refused(topic, "late", said, CLOCKS, severity)

    def refusal(self, frame: Frame, topics: dict[str, str]) -> str:
        """Why a frame is not of now; empty where it may be.

        Args:
            frame: complete.
            topics: names of the pictures of `left` and `right`, and of the `mask`.
        """
        seconds, eye = self._inputs.still(frame)
        _keep(self._still, frame.stamp, seconds)
        stale = self._inputs.stale_mask(frame)
        words = stale_mask_words(stale) if stale > STILL_FOR.value else ""
        _keep(self._masks, frame.stamp, words)
        self._say(topics["mask"], "stale", words, "look at what makes the masks")
        lag = self._inputs.lag(frame)
        behind = lag_words(lag) if lag else ""
        self._say(topics["right"], "lag", behind, "look for what buffers one eye")
        frozen = seconds > STILL_FOR.value
        for name in ("left", "right"):
            words = frozen_words(name, seconds) if frozen and name == eye else ""
            self._say(topics[name], "frozen", words, STILLS)
        return frozen_words(eye, seconds) if frozen else behind

    def arrival(self, stamp: int) -> float | None:
        """When the image of this stamp came, in seconds of the steady clock."""
        found = self._arrivals.get(stamp)
        return None if found is None else found[0]

    def taken(self, stamp: int) -> float | None:
        """When what that image shows was taken, in seconds of the steady clock."""
        found = self._arrivals.get(stamp)
        return None if found is None else found[0] - found[1] - self._still.get(stamp, 0.0)

    def stale_mask(self, stamp: int) -> str:
        """Why the masks of the image of this stamp are not of it; empty where they may be."""
        return self._masks.get(stamp, "")

    def _say(self, topic: str, key: str, words: str, cure: str) -> None:
        if words:
            self._report.refused(topic, key, words, cure)
        else:
            self._report.settle(topic, key)


def _keep(entries: OrderedDict, stamp: int, value: object) -> None:
    entries[stamp] = value
    while len(entries) > KEPT:
        entries.popitem(last=False)
