"""What a controller does before it uses a clearance; silence means stop. See docs/consuming.md.

Times are of the consumer's own steady clock at reception, so no clock need be shared.
"""

from __future__ import annotations

from endosfm3d_ros.msg import Grade, PipelineStatus, ToolClearance


class FreshClearances:
    """Keeps the newest word about each tool, and the status, for as long as they hold."""

    def __init__(self) -> None:
        self._said: dict[int, tuple[ToolClearance, float]] = {}
        self._status: tuple[PipelineStatus, float] | None = None

    def hear(self, message: ToolClearance, now: float) -> None:
        """A message of `~/tools/clearance` came at time `now` in seconds."""
        self._said[message.id] = message, now + message.lifetime

    def hear_status(self, message: PipelineStatus, now: float) -> None:
        """A message of `~/status` came at time `now` in seconds."""
        self._status = message, now + message.lifetime

    def lower_bound(self, tool: int, now: float) -> float | None:
        """Metres that the tool is away from tissue at least, with 95 % confidence.

        None means stop: nothing valid was said, it no longer holds, or the node has fallen silent
        or says that clearance is worth nothing.
        """
        if self._status is None or now > self._status[1] or tool not in self._said:
            return None
        status, (message, end) = self._status[0], self._said[tool]
        grades = {grade.name: grade.grade for grade in status.grades}
        if grades.get("clearance", Grade.INVALID) == Grade.INVALID:
            return None
        return message.lower_bound_95 if message.valid and now <= end else None
