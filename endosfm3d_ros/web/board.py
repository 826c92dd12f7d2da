"""What the live page shows now: one value of every part, the newest, for whoever asks."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from time import monotonic


@dataclass(frozen=True)
class Part:
    """One thing that a page shows."""

    number: int  # rises with every change
    kind: str  # media type
    content: bytes


class Board:
    """Parts by name; readers wait for changes. Nothing is kept but the newest: no reader can hold
    memory. Safe to use from several threads.

    Args:
        rates: most changes a second of a part; those that come sooner are left out.
    """

    def __init__(self, rates: dict[str, float] | None = None) -> None:
        self._rates = rates or {}
        self._parts: dict[str, Part] = {}
        self._put: dict[str, float] = {}
        self._changed = threading.Condition()
        self._readers = 0
        self._number = 0
        self._closed = False

    @property
    def watched(self) -> bool:
        """Whether somebody looks; what nobody sees need not be made."""
        return self._readers > 0

    @property
    def closed(self) -> bool:
        """Whether nothing follows."""
        return self._closed

    def due(self, name: str) -> bool:
        """Whether a part may change now; asked before making what would be left out."""
        rate = self._rates.get(name)
        return rate is None or monotonic() - self._put.get(name, -1e9) >= 1 / rate

    def put(self, name: str, kind: str, content: bytes) -> None:
        """Replace a part."""
        with self._changed:
            self._number += 1
            self._put[name] = monotonic()
            self._parts[name] = Part(self._number, kind, content)
            self._changed.notify_all()

    def get(self, name: str) -> Part | None:
        """A part as it is now."""
        with self._changed:
            return self._parts.get(name)

    def changes(self, since: int, timeout: float) -> dict[str, int]:
        """{part: number} of what changed after `since`; waits for it at most `timeout` s."""
        with self._changed:
            self._changed.wait_for(lambda: self._number > since or self._closed, timeout)
            return {name: p.number for name, p in self._parts.items() if p.number > since}

    def enter(self) -> None:
        """Somebody looks."""
        with self._changed:
            self._readers += 1

    def leave(self) -> None:
        """Somebody looks no longer."""
        with self._changed:
            self._readers -= 1

    def close(self) -> None:
        """Let all who wait go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
