"""Says at once what is new about inputs and outputs, and once a second how everything is."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node

from endosfm3d_ros.gates.grades import all_invalid
from endosfm3d_ros.msg import PipelineStatus
from endosfm3d_ros.nodes.health import status
from endosfm3d_ros.nodes.health.guard import Guard
from endosfm3d_ros.nodes.health.health import Finding, Health, Level
from endosfm3d_ros.nodes.outputs.qos import OUTPUT
from endosfm3d_ros.pipeline.live import LivePipeline
from endosfm3d_ros.types import StageReport

if TYPE_CHECKING:
    from endosfm3d_ros.nodes.inputs.receiver import FrameReceiver
    from endosfm3d_ros.nodes.node.beside import Beside

LONG = 1.0  # s of one stage of one image, after which it is worth a word


class Watchdog:
    """Owns `~/status` and `/diagnostics`; its methods are called on the executor's thread.

    Args:
        node: for its publishers and its log.
        health: what is known of the stream.
        guard: says notes once.
        before: what the stages say of themselves before the first image.
        expected: updates a second that this machine can be expected to make; NaN where unknown.
    """

    def __init__(
        self, node: Node, health: Health, guard: Guard, before: StageReport, expected: float
    ) -> None:
        self._node, self._health, self._guard, self._before = node, health, guard, before
        self._expected = expected
        self._last: PipelineStatus | None = None
        self._live: LivePipeline | None = None
        self._dropped = 0  # frames of earlier activations that nobody answers
        self._status = node.create_publisher(PipelineStatus, "~/status", OUTPUT)
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", OUTPUT)

    def begin(self, live: LivePipeline, receiver: FrameReceiver, beside: Beside) -> None:
        """The node becomes active."""
        self._beside = beside
        if self._live is not None:
            self._dropped += self._live.state.dropped
        self._live, self._receiver = live, receiver
        self._known: set[tuple[str, Level]] = set()  # parts and levels that were spoken of
        self._graded: list[int] = []  # of the last message
        self._health.failure = ""

    def destroy(self) -> None:
        """Take the topics down."""
        self._node.destroy_publisher(self._status)
        self._node.destroy_publisher(self._diagnostics)

    def look(self) -> None:
        """Log and publish what is new."""
        self._health.failure = self._live.state.failure
        findings = self._findings(monotonic())
        for note in self._health.update.report.notes if self._health.update else ():
            self._guard.warn_once(note)
        if self._notice(findings):
            self._publish(findings)

    def report(self) -> None:
        """Publish PipelineStatus and diagnostics."""
        findings = self._findings(monotonic())
        self._notice(findings)
        self._publish(findings)

    def _notice(self, findings: list[Finding]) -> bool:
        """Whether these differ from what was said; logged before anybody hears of them."""
        known, self._known = self._known, {(found.part, found.level) for found in findings}
        graded, self._graded = self._graded, self._grades()
        if self._known == known:
            return self._graded != graded
        new = [found for found in findings if (found.part, found.level) not in known]
        self._say(new, well=not findings)
        if any(found.level == Level.ERROR for found in new):
            self._beside.error_began()
        return True

    def _grades(self) -> list[int]:
        return [int(grade.worth) for grade in self._health.grades(monotonic())]

    def _publish(self, findings: list[Finding]) -> None:
        now = monotonic()
        dropped = self._dropped + self._live.state.dropped
        message = status.status_message(self._health, self._before, findings, now, dropped)
        message.expected_rate_hz = self._expected
        message.memory_mb = self._beside.memory.megabytes
        message.input_delay_s = self._receiver.gate.late
        self._status.publish(message)
        self._last = message
        self._diagnostics.publish(
            status.diagnostics_message(
                self._node.get_fully_qualified_name().lstrip("/"),
                self._node.get_clock().now().nanoseconds,
                self._health.rejected,
                findings,
                message,
                self._receiver.report.entries,
                self._health.refused,
            )
        )

    def stuck(self, reason: str) -> None:
        """Say that nothing holds any more while the executor does not come round.

        From any thread: it changes nothing but a message that was sent before.
        """
        message = self._last
        if message is not None:
            message.level, message.message = int(Level.ERROR), reason
            message.grades = status.grade_messages(all_invalid(reason))
            self._status.publish(message)

    def end(self, reason: str) -> None:
        """The last word of an activation: nothing that was said holds any more."""
        now = monotonic()
        self._health.catch_up()
        dropped = self._dropped + self._live.state.dropped
        finding = Finding("output", Level.ERROR, reason)
        message = status.status_message(self._health, self._before, [finding], now, dropped)
        message.grades = status.grade_messages(all_invalid(reason))
        self._status.publish(message)

    def _findings(self, now: float) -> list[Finding]:
        """Everything worth saying about inputs and outputs, worst first."""
        found = [
            *self._health.findings(now, self._why_silent),
            *self._receiver.findings(),
            *self._beside.memory.findings(now),
        ]
        return sorted(found, key=lambda finding: -finding.level)

    def _why_silent(self) -> str:
        """What images wait for, if they wait."""
        computing = self._live.state.working_for
        if computing > LONG:
            return f"an image is being computed since {computing:.1f} s"
        return self._receiver.waiting()

    def _say(self, findings: list[Finding], well: bool) -> None:
        log = self._node.get_logger()
        for finding in findings:
            sentence = f"{finding.part}: {finding.sentence}"
            if finding.part == "input":
                sentence += f"; {self._receiver.describe()}"
            if finding.level == Level.ERROR:  # two calls: rclpy ties a severity to a line
                log.error(sentence)
            else:
                log.warning(sentence)
        if well:
            log.info("all well again")
