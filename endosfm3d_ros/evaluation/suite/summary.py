"""What a suite says in all: medians, worst cases, coverage of stated errors, and what changed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Column, Table

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.evaluation.suite.run import EYES, Row

# measure -> heading, factor for printing; larger is worse except for the shares that are covered
COLUMNS = {
    "ate_sim3_of_path": ("path %", 100.0),
    "ate_se3_mm": ("mm", 1.0),
    "strays_of_distance": ("strays %", 100.0),
    "strays_deg": ("strays °", 1.0),
    "ate_rot_deg": ("rot °", 1.0),
    "lost_frames": ("lost", 1.0),
    "focal_error": ("focal %", 100.0),
    "focal_worst_converged": ("conv. %", 100.0),
    "focal_within_2_sigma": ("in 2 s", 1.0),
    "pose_within_95": ("pose in", 1.0),
    "abs_rel_median_scaled": ("AbsRel", 1.0),
}
BETTER_HIGH = {"focal_within_2_sigma", "pose_within_95"}
SAME = 0.02  # change as a share of the stored value that is not worth telling


def summary(rows: list[Row]) -> dict[str, dict[str, dict[str, float]]]:
    """eyes -> measure -> median, worst and count over the rows that have it.

    The path of a camera at rest is no measure of its error, so those rows do not count there.
    """
    table = {}
    for eyes in EYES:
        mine = [row for row in rows if row.eyes == eyes]
        measures = {name: _statistics(name, mine) for name in COLUMNS}
        table[eyes] = {name: found for name, found in measures.items() if found}
    return {eyes: measures for eyes, measures in table.items() if measures}


def _statistics(name: str, rows: list[Row]) -> dict[str, float]:
    if name == "ate_sim3_of_path":
        rows = [row for row in rows if not row.values.get("at_rest")]
    values = np.array([float(row.values[name]) for row in rows if name in row.values])
    values = values[np.isfinite(values)]
    if not len(values):
        return {}
    worst = values.min() if name in BETTER_HIGH else values.max()
    return {"median": float(np.median(values)), "worst": float(worst), "clips": len(values)}


def as_json(rows: list[Row], suite: str) -> dict[str, Any]:
    """Rows and summary; values that are no numbers are left out."""
    content = [
        {
            "clip": row.clip, "eyes": row.eyes, "frames": row.frames,
            "depth_source": row.depth_source,
            **{name: value for name, value in row.values.items()
               if not isinstance(value, float) or math.isfinite(value)},
            **({"failure": row.failure} if row.failure else {}),
        }
        for row in rows
    ]  # fmt: skip
    return {"suite": suite, "summary": summary(rows), "rows": content}


def stored(path: Path) -> dict[str, dict[str, Any]]:
    """The rows of a result that was written before, by their keys.

    Raises:
        ConfigurationError: no such file, or no result of a suite.
    """
    try:
        rows = json.loads(path.read_text())["rows"]
        return {f"{row['clip']}, {row['eyes']}": row for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(
            f"--against {path}: the --json of an earlier --suite is accepted"
        ) from error


def rows_table(rows: list[Row], before: dict[str, dict[str, Any]]) -> Table:
    """One line per row; what changed since the stored run stands behind the value."""
    shown = {name: heading for name, (heading, _) in COLUMNS.items()
             if any(name in row.values for row in rows)}  # fmt: skip
    table = Table(Column("clip", no_wrap=True), *shown.values(), title="suite")
    for row in rows:
        if row.failure:
            table.add_row(escape(row.key), escape(row.failure))
            continue
        old = before.get(row.key, {})
        table.add_row(escape(row.key), *(_cell(name, row, old) for name in shown))
    return table


def _cell(name: str, row: Row, old: dict[str, Any]) -> str:
    if name not in row.values or (name == "ate_sim3_of_path" and row.values.get("at_rest")):
        return ""
    factor, value = COLUMNS[name][1], float(row.values[name])
    text = f"{factor * value:.3g}"
    if name not in old:
        return text
    change = value - float(old[name])
    if abs(change) <= SAME * abs(float(old[name])):
        return text
    worse = (change > 0) != (name in BETTER_HIGH)
    colour = "red" if worse else "green"
    return f"{text} [{colour}]{factor * change:+.2g}[/{colour}]"


def summary_table(rows: list[Row]) -> Table:
    """Median and worst of every measure."""
    table = Table("", "measure", "median", "worst", "clips", title="all clips")
    for eyes, measures in summary(rows).items():
        for name, found in measures.items():
            heading, factor = COLUMNS[name]
            table.add_row(
                eyes, heading, f"{factor * found['median']:.3g}", f"{factor * found['worst']:.3g}",
                str(int(found["clips"])),
            )  # fmt: skip
        table.add_section()
    return table
