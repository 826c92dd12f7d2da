"""Several clips side by side, and published numbers below them with their sources."""

from __future__ import annotations

import csv
import io
import json

import pytest
from typer.testing import CliRunner

from endosfm3d_ros.cli.main import build_app
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.evaluation.parts.estimates import Scores
from endosfm3d_ros.evaluation.report import Report
from endosfm3d_ros.evaluation.tables import published, tables_of, written


def report(clip: str, **depth: float) -> Report:
    return Report(
        clip=clip, mode="offline", frames=9, frames_processed=9, frames_dropped=0, rate_hz=1.0,
        depth_rate_hz=1.0, input_hz=None, clip_hz=5.0, rss_mb_max=1.0, backend="none",
        depth_source="endosfm3d", scale_source="relative", latency_ms={}, notes=(),
        scores={"depth": Scores(9, dict(depth)), "pose": None},
    )  # fmt: skip


REPORTS = [
    report("a_1", abs_rel_median_scaled=0.1, rmse_mm_median_scaled=4.0, delta1=0.9),
    report("b & c", abs_rel_median_scaled=0.3, rmse_mm_median_scaled=6.0),
]


def test_a_table_has_a_row_for_each_clip_and_their_mean():
    (table,) = tables_of(REPORTS)
    assert table.head == ("clip", "abs_rel_median_scaled", "rmse_mm_median_scaled", "delta1")
    assert table.rows == (
        ("a_1", "0.1", "4", "0.9"), ("b & c", "0.3", "6", ""), ("mean", "0.2", "5", "0.9"),
    )  # fmt: skip


def test_markdown_latex_and_csv_hold_the_same():
    tables = tables_of(REPORTS)
    assert "| a_1 | 0.1 | 4 | 0.9 |" in written(tables, "md")
    latex = written(tables, "latex")
    assert r"\begin{tabular}{lrrr}" in latex and latex.count(r"\midrule") == 2
    assert r"a\_1 & 0.1 & 4 & 0.9 \\" in latex and r"b \& c & 0.3 & 6 & -- \\" in latex
    rows = list(csv.DictReader(io.StringIO(written(tables, "csv"))))
    assert rows[1]["clip"] == "b & c" and float(rows[1]["rmse_mm_median_scaled"]) == 6


def test_published_numbers_come_with_their_source():
    ours, theirs = tables_of(REPORTS, peers=True)
    assert ours.title == "depth" and theirs.title == "depth, as published"
    row = next(row for row in theirs.rows if row[0] == "EndoSfM3D")
    assert row[2:] == ("0.05", "0.389", "4.749", "0.07")
    assert any("not checked against the paper" in note for note in theirs.notes)


def test_every_published_row_names_method_data_and_source():
    assert len(published()) > 30
    for row in published():
        assert row.method and row.setting and row.source and row.values
    tools = {r.method: r.values["iou_mean"] for r in published()
             if (r.part, r.setting) == ("tools", "average of the four")}  # fmt: skip
    assert tools == {"BundleSDF": 0.1865, "LRM": 0.4112, "EndoLRMGS": 0.8123}


def test_the_command_takes_several_clips_and_prints_only_tables(clip_folder, tmp_path):
    arguments = [
        "evaluate", str(clip_folder), str(clip_folder), "--what", "intrinsics", "--depth-source",
        "shading", "--intrinsics", "fixed", "--table", "csv", "--json", str(tmp_path / "r.json"),
    ]  # fmt: skip
    result = CliRunner().invoke(build_app(), arguments)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[0] == "table,clip,focal_rel_err"
    assert len(json.loads((tmp_path / "r.json").read_text())) == 2


def test_another_form_is_refused_before_anything_runs(clip_folder):
    result = CliRunner().invoke(build_app(), ["evaluate", str(clip_folder), "--table", "docx"])
    assert isinstance(result.exception, ConfigurationError)
    assert "accepted are md, latex, csv" in str(result.exception)


def test_no_form_but_these():
    with pytest.raises(ConfigurationError, match="--table docx"):
        written([], "docx")
