"""The result of an evaluation as JSON and as tables."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table

from endosfm3d_ros.evaluation.parts.estimates import Scores
from endosfm3d_ros.files.atomic import write_text

ORDER = {  # of the measures within a part; others follow
    "depth": (
        "abs_rel_median_scaled",
        "sq_rel_mm_median_scaled",
        "rmse_mm_median_scaled",
        "abs_rel_mean_inverse_scaled",
        "abs_rel_metric",
        "median_rel_err",
        "coverage",
        "sq_rel",
        "rmse_mm",
        "rmse_log",
        "delta1",
        "delta2",
        "delta3",
        "abs_rel_affine",
        "delta1_affine",
        "relief",
        "flicker",
    ),
    "pose": (
        "ate_se3_mm",
        "ate_sim3_mm",
        "ate_sim3_of_path",
        "path_mm",
        "ate_rot_deg",
        "rpe_trans_mm",
        "rpe_rot_deg",
        "snippet5_ate",
        "lost_frames",
    ),
    "tools": ("iou_mean", "iou_each_tool", "iou_remade_each_frame", "psnr", "ssim", "lpips"),
}


@dataclass(frozen=True)
class Report:
    """One run over one clip."""

    clip: str
    mode: str
    frames: int
    frames_processed: int
    frames_dropped: int
    rate_hz: float  # live: updates per second of wall time; offline: per second of computing
    depth_rate_hz: float  # the same, of stamps for which depth was computed anew
    input_hz: float | None  # live only: frames handed over per second
    clip_hz: float
    rss_mb_max: float  # resident memory of the process, without depth maps held for scoring
    backend: str
    depth_source: str
    scale_source: str
    latency_ms: dict[str, tuple[float, float]]  # stage -> median, 95th percentile
    notes: tuple[str, ...]  # what the user should know about how the pipeline was set up
    scores: dict[str, Scores | None]  # asked for; None without a reference

    @property
    def without_reference(self) -> list[str]:
        """Parts that were asked for and that the clip cannot judge."""
        return [name for name, scores in self.scores.items() if scores is None]

    @property
    def starved(self) -> bool:
        """Whether the recording could not be read at its own rate."""
        return self.input_hz is not None and self.input_hz < 0.95 * self.clip_hz

    def as_json(self) -> dict[str, Any]:
        """What was measured; what was not is absent."""
        run = (
            "clip", "mode", "frames", "frames_processed", "frames_dropped", "rate_hz",
            "depth_rate_hz", "input_hz", "rss_mb_max", "backend", "depth_source", "scale_source",
        )  # fmt: skip
        content = {name: getattr(self, name) for name in run if getattr(self, name) is not None}
        content["latency_ms"] = {
            stage: {"p50": p50, "p95": p95} for stage, (p50, p95) in self.latency_ms.items()
        }
        known = {name: scores for name, scores in self.scores.items() if scores is not None}
        content |= {name: ordered(name, scores) for name, scores in known.items()}
        content["frames_scored"] = {name: scores.frames for name, scores in known.items()}
        content["ci95"] = {
            name: {measure: list(interval) for measure, interval in scores.ci95.items()}
            for name, scores in known.items()
            if scores.ci95
        }
        return content


def ordered(part: str, scores: Scores) -> dict[str, float | int | str]:
    """The values of a part in the order of the report."""
    order = ORDER.get(part, ())
    rank = {name: place for place, name in enumerate(order)}
    return dict(sorted(scores.values.items(), key=lambda item: rank.get(item[0], len(rank))))


def write_json(content: dict[str, Any], path: Path) -> None:
    """Write a file that is whole or not there at all.

    Raises:
        ConfigurationError: the place cannot be written.
    """
    write_text(path, json.dumps(content, indent=1, allow_nan=False) + "\n")


def scores_table(report: Report) -> Table:
    """One section per part, one row per measure with its interval."""
    table = Table("measure", "value", "95 % interval", title=escape(report.clip))
    for part, scores in report.scores.items():
        if scores is None:
            continue
        table.add_row(f"[bold]{part}[/bold], {scores.frames} scored")
        for name, value in ordered(part, scores).items():
            interval = scores.ci95.get(name)
            span = "" if interval is None else f"{interval[0]:.4g} .. {interval[1]:.4g}"
            table.add_row(name, _text(value), span)
        table.add_section()
    return table


def latency_table(report: Report) -> Table:
    """One row per stage."""
    table = Table("stage", "p50 ms", "p95 ms")
    for stage, (p50, p95) in report.latency_ms.items():
        table.add_row(stage, f"{p50:.1f}", f"{p95:.1f}")
    return table


def _text(value: float | int | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
