"""What was converted, assumed, refused or missed on the way in; one object for every reader."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from enum import Enum, IntEnum

KEPT = 64  # entries at most: what comes from outside must not fill the memory


class Action(str, Enum):
    """What was done."""

    CONVERTED = "converted"
    ASSUMED = "assumed"
    REFUSED = "refused"
    MISSING = "missing"


class Severity(IntEnum):
    """As in diagnostic_msgs/DiagnosticStatus."""

    NOTE = 0
    WARN = 1
    ERROR = 2


@dataclass(frozen=True)
class Entry:
    """One thing about one input.

    `topic` is a topic, a file, or what a person calls the input. `sentence` carries value and
    limit; `cure` is what the person can do, "" where nothing has to be done.
    """

    topic: str
    action: Action
    sentence: str
    cure: str = ""
    severity: Severity = Severity.NOTE

    def __str__(self) -> str:
        cure = f" ({self.cure})" if self.cure else ""
        return f"{self.topic}: {self.sentence}{cure}"


class InputReport:
    """Everything worth saying about the inputs of one stream, as long as it holds.

    An entry is known by its topic and a key; a new one replaces the old one, and `settle` takes it
    away once it holds no longer. Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._entries: dict[tuple[str, str], Entry] = {}
        self._lock = threading.Lock()

    def converted(self, topic: str, key: str, sentence: str, cure: str = "") -> None:
        """Something was put right, and is right now."""
        self._add(key, Entry(topic, Action.CONVERTED, sentence, cure))

    def assumed(self, topic: str, key: str, sentence: str, cure: str = "") -> None:
        """The input leaves something open, and the usual meaning was taken."""
        self._add(key, Entry(topic, Action.ASSUMED, sentence, cure))

    def refused(
        self,
        topic: str,
        key: str,
        sentence: str,
        cure: str = "",
        severity: Severity = Severity.ERROR,
    ) -> None:
        """Something cannot be used; WARN where the stream goes on truthfully without it."""
        self._add(key, Entry(topic, Action.REFUSED, sentence, cure, severity))

    def missing(
        self,
        topic: str,
        key: str,
        sentence: str,
        cure: str = "",
        severity: Severity = Severity.WARN,
    ) -> None:
        """Something that should be there is not."""
        self._add(key, Entry(topic, Action.MISSING, sentence, cure, severity))

    def settle(self, topic: str, key: str) -> None:
        """This holds no longer, or never did."""
        with self._lock:
            self._entries.pop((topic, key), None)

    def forget(self) -> None:
        """A new stream begins."""
        with self._lock:
            self._entries.clear()

    @property
    def entries(self) -> list[Entry]:
        """All that holds now, worst first, else in order of their coming."""
        with self._lock:
            return sorted(self._entries.values(), key=lambda entry: -entry.severity)

    def _add(self, key: str, entry: Entry) -> None:
        with self._lock:
            if (entry.topic, key) in self._entries or len(self._entries) < KEPT:
                self._entries[entry.topic, key] = entry
