"""Health as messages: PipelineStatus for programs, DiagnosticArray for people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue

from endosfm3d_ros.gates import grades as gates
from endosfm3d_ros.gates.limits import MAX_AGE
from endosfm3d_ros.inputs.report import Entry
from endosfm3d_ros.msg import Grade, PipelineStatus, StageStatus
from endosfm3d_ros.nodes.health.health import Finding, Health, Level
from endosfm3d_ros.nodes.messages.conversions import header
from endosfm3d_ros.types import StageReport

PARTS = ("input", "processing", "depth", "tracking", "output")
REASONS = 32  # of rejections that diagnostics name: some hold names that others chose
LIFETIME = 2.5  # s; a status comes every second, one may be missed
STAGES = ("tissue", "tools")  # parts of a pipeline that has them


def status_message(
    health: Health, before: StageReport, findings: list[Finding], now: float, dropped: int
) -> PipelineStatus:
    """The state of the pipeline at time `now` of the steady clock.

    Args:
        health: what is known.
        before: what the stages say of themselves before the first image.
        findings: of now, worst first.
        now: time.
        dropped: frames that nobody answers.
    """
    update, latencies = health.update, health.latency.percentiles()
    latency = latencies.get("latency", (float("nan"), float("nan")))
    worst, report = findings[0] if findings else None, update.report if update else before
    message = PipelineStatus(
        level=int(worst.level) if worst else int(Level.OK),
        message="; ".join(finding.sentence for finding in findings) or "running",
        depth_source=update.depth.source if update else "none",
        scale_source=health.scale_source(),
        scale_factor=health.scale()[0],
        scale_sigma=health.scale()[1],
        backend=report.backend,
        tracking=update.pose.state.value if update else "initialising",
        intrinsics_mode=report.intrinsics_mode,
        k_seen_by=report.k_seen_by,
        quality=report.quality,
        paused=health.paused,
        frames_received=health.received,
        frames_processed=health.processed,
        frames_dropped=dropped,
        frames_rejected=sum(health.rejected.values()),
        input_rate_hz=health.input_rate(now),
        output_rate_hz=health.output_rate(now),
        latency_p50_ms=latency[0],
        latency_p95_ms=latency[1],
        lifetime=LIFETIME,
        output_lifetime=MAX_AGE.value,
        grades=grade_messages(health.grades(now)),
    )
    if update:
        message.header = header(update.frame.stamp, update.frame.frame_id)
        message.depth_age_s = (update.frame.stamp - update.depth.stamp) * 1e-9
        message.depth_coverage = update.depth.coverage
    message.stages = [
        StageStatus(name=name, p50_ms=p50, p95_ms=p95) for name, (p50, p95) in latencies.items()
    ]
    return message


def grade_messages(grades: Sequence[gates.Grade]) -> list[Grade]:
    """What the parts are worth, as it is sent."""
    return [Grade(name=each.part, grade=int(each.worth), reason=each.reason) for each in grades]


def diagnostics_message(
    name: str,
    stamp: int,
    rejected: Counter[str],
    findings: list[Finding],
    status: PipelineStatus,
    inputs: Sequence[Entry] = (),
    refused: Counter[str] | None = None,
) -> DiagnosticArray:
    """One entry per part, named `node: part` (REP 107); `inputs` is what was done about these."""
    message = DiagnosticArray(header=header(stamp, ""))
    timed = {stage.name for stage in status.stages}
    message.status = [
        _entry(name, part, findings, _values(part, rejected, status))
        for part in (*PARTS, *(stage for stage in STAGES if stage in timed))
    ]
    message.status[0].values += [
        KeyValue(key=f"other messages: {reason}", value=str(count))
        for reason, count in (refused or {}).items()
    ] + [
        KeyValue(key=f"{entry.action.value}: {entry.topic}", value=entry.sentence)
        for entry in inputs
    ]
    return message


def _entry(
    name: str, part: str, findings: list[Finding], values: dict[str, object]
) -> DiagnosticStatus:
    about = [finding for finding in findings if finding.part == part]
    level = max((finding.level for finding in about), default=Level.OK)
    return DiagnosticStatus(
        level=bytes([level]),
        name=f"{name}: {part}",
        message="; ".join(finding.sentence for finding in about) or "ok",
        hardware_id="endoscope",
        values=[KeyValue(key=key, value=str(value)) for key, value in values.items()],
    )


def _values(part: str, rejected: Counter[str], status: PipelineStatus) -> dict[str, object]:
    """Key/value pairs of one part."""
    if part in STAGES:
        return {f"{stage.name}_p95_ms": f"{stage.p95_ms:.1f}" for stage in status.stages
                if stage.name == part}  # fmt: skip
    if part == "input":
        reasons = {f"rejected: {reason}": count for reason, count in rejected.most_common(REASONS)}
        rate = f"{status.input_rate_hz:.1f}"
        return {"received": status.frames_received, "rate_hz": rate, **reasons}
    if part == "processing":
        stages = {f"{stage.name}_p50_ms": f"{stage.p50_ms:.1f}" for stage in status.stages}
        return {"quality": status.quality, **stages}
    if part == "depth":
        coverage = f"{status.depth_coverage:.2f}"
        return {
            "source": status.depth_source,
            "networks": status.backend,
            "scale": status.scale_source,
            "coverage": coverage,
            "k_seen_by": status.k_seen_by or "none",
        }
    if part == "tracking":
        return {"state": status.tracking, "intrinsics_mode": status.intrinsics_mode}
    return {
        "processed": status.frames_processed,
        "dropped": status.frames_dropped,
        "rate_hz": f"{status.output_rate_hz:.1f}",
        "latency_p95_ms": f"{status.latency_p95_ms:.1f}",
    }
