"""Several clips side by side, for papers: Markdown, LaTeX or CSV; published numbers below them."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.evaluation.report import Report, ordered

PEERS = Path(__file__).parent / "peers.json"
SHOWN = {  # measures of a part that a table has; every one stands in the JSON
    "depth": (
        "abs_rel_median_scaled", "sq_rel_mm_median_scaled", "rmse_mm_median_scaled", "rmse_log",
        "delta1", "abs_rel_metric", "coverage",
    ),
    "pose": ("ate_se3_mm", "ate_sim3_mm", "rpe_trans_mm", "rpe_rot_deg", "snippet5_ate"),
    "intrinsics": ("focal_rel_err",),
    "masks": ("iou_mean", "dice_mean"),
    "tools": ("iou_mean", "psnr", "ssim", "lpips"),
}  # fmt: skip
INJECTED = {  # measures that tell most when references take the place of estimates
    "depth": ("abs_rel_metric", "abs_rel_median_scaled"),
    "pose": ("ate_se3_mm", "ate_sim3_of_path", "rpe_rot_deg"),
    "intrinsics": ("focal_rel_err",),
    "masks": ("iou_mean",),
    "tissue": ("p1_psnr", "p2_psnr", "depth_median_rel_err"),
    "tools": ("iou_mean", "pose_err_mm", "clearance_err_mm"),
    "cloud": ("covered", "covered_tissue", "covered_hidden", "covered_tools"),
}
LONGEST = 8  # columns of a part that has no list of its own


@dataclass(frozen=True)
class Table:
    """Rows of texts under a head; an empty text is a value that there is not."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """One row of somebody's paper."""

    part: str
    method: str
    setting: str  # data, split and protocol
    values: dict[str, float]
    source: str


@cache
def published() -> tuple[Published, ...]:
    """Every published row that is known, with where it was found."""
    return tuple(Published(**row) for row in json.loads(PEERS.read_text(encoding="utf-8")))


def tables_of(reports: Sequence[Report], peers: bool = False) -> list[Table]:
    """One table for each part: a row for each clip, and their mean.

    Args:
        reports: of runs with the same settings.
        peers: add what was published for the part; other data and protocols than ours.
    """
    tables = []
    for part in dict.fromkeys(name for report in reports for name in report.scores):
        scored = [report for report in reports if report.scores.get(part)]
        rows = {_unique(k, scored): ordered(part, r.scores[part]) for k, r in enumerate(scored)}
        if not rows:
            continue
        tables.append(_ours(part, rows))
        found = [row for row in published() if peers and row.part == part]
        if found:
            tables.append(_theirs(part, found))
    return tables


def injection_table(rows: Mapping[str, Sequence[Report]]) -> Table:
    """A row for each combination of references, with means over its clips.

    Args:
        rows: what was injected -> reports of the same clips.
    """
    means: dict[str, dict[str, float]] = {}
    for injected, reports in rows.items():
        means[injected] = {}
        for part, names in INJECTED.items():
            for name in names:
                values = [r.scores[part].values.get(name) for r in reports if r.scores.get(part)]
                known = [value for value in values if isinstance(value, float)]
                if known:
                    means[injected][f"{part} {name}"] = float(np.mean(known))
    shown = [
        f"{part} {name}" for part, names in INJECTED.items() for name in names
        if any(f"{part} {name}" in row for row in means.values())
    ]  # fmt: skip
    body = tuple((name, *(_text(row.get(key)) for key in shown)) for name, row in means.items())
    return Table("references in place of estimates", ("reference of", *shown), body)


def _unique(k: int, reports: Sequence[Report]) -> str:
    """Name of a clip, with its place where two have the same."""
    name = reports[k].clip
    return name if [r.clip for r in reports].count(name) == 1 else f"{name} ({k + 1})"


def _ours(part: str, rows: dict[str, dict[str, Any]]) -> Table:
    measured = list(dict.fromkeys(
        name for row in rows.values() for name, value in row.items() if isinstance(value, float)
    ))  # fmt: skip
    shown = [name for name in SHOWN.get(part, measured[:LONGEST]) if name in measured]
    body = [(clip, *(_text(row.get(name)) for name in shown)) for clip, row in rows.items()]
    if len(body) > 1:
        means = [[row[name] for row in rows.values() if name in row] for name in shown]
        body.append(("mean", *(_text(float(np.mean(values))) for values in means)))
    return Table(part, ("clip", *shown), tuple(body))


def _theirs(part: str, found: list[Published]) -> Table:
    shown = list(dict.fromkeys(name for row in found for name in row.values))
    body = tuple(
        (row.method, row.setting, *(_text(row.values.get(name)) for name in shown)) for row in found
    )
    sources = tuple(dict.fromkeys(f"{row.setting}: {row.source}" for row in found))
    return Table(f"{part}, as published", ("method", "data", *shown), body, sources)


def _text(value: float | int | str | None) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def written(tables: Sequence[Table], form: str) -> str:
    """All tables as text.

    Raises:
        ConfigurationError: another form than md, latex or csv.
    """
    forms = {"md": _markdown, "latex": _latex, "csv": _csv}
    if form not in forms:
        raise ConfigurationError(f"--table {form}: accepted are {', '.join(forms)}")
    return "\n".join(forms[form](table) for table in tables)


def _markdown(table: Table) -> str:
    lines = [f"**{table.title}**", "", _bar(table.head), _bar(["---"] * len(table.head))]
    lines += [_bar(row) for row in table.rows]
    lines += ["", *(f"- {note}" for note in table.notes)] if table.notes else []
    return "\n".join(lines) + "\n"


def _bar(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _latex(table: Table) -> str:
    """Needs booktabs."""
    texts = sum(all(not _number(row[k]) for row in table.rows) for k in range(2))
    columns = "l" * texts + "r" * (len(table.head) - texts)
    lines = [f"% {note}" for note in table.notes]
    lines += [f"\\begin{{tabular}}{{{columns}}}", "\\toprule", _line(table.head), "\\midrule"]
    for row in table.rows:
        lines += ["\\midrule"] if row[0] == "mean" else []
        lines.append(_line(row))
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def _line(cells: Sequence[str]) -> str:
    escaped = (cell or "--" for cell in cells)
    for character in "&%#_":
        escaped = [cell.replace(character, f"\\{character}") for cell in escaped]
    return " & ".join(escaped) + " \\\\"


def _number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True


def _csv(table: Table) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("table", *table.head))
    writer.writerows((table.title, *row) for row in table.rows)
    return text.getvalue()
