"""A very short soak; the long one is `endosfm3d bench soak`."""

from __future__ import annotations

from dataclasses import replace

from endosfm3d_ros.bench.soak import SoakConfig, SoakRow, plot, soak, summarised
from endosfm3d_ros.tissue.config import TissueConfig


def test_a_short_soak_stays_within_its_caps(tmp_path):
    tissue = replace(TissueConfig(), width=96, capacity=3000)
    config = SoakConfig(
        frames=20, resets=2, after_reset=2, rows=4, clip=4, width=128, height=96, tissue=tissue
    )
    seen: list[SoakRow] = []
    rows = soak(config, seen.append)
    assert rows == seen
    assert [row.frame for row in rows] == [5, 10, 15, 20, 22, 24]
    assert [row.resets for row in rows] == [0, 0, 0, 0, 1, 2]
    assert all(0 < row.gaussians <= 3000 and row.nodes > 0 for row in rows)
    assert all(row.rate_hz > 0 and row.rss_mb > 10 for row in rows)
    plot(rows, tmp_path / "soak.png")
    assert (tmp_path / "soak.png").is_file()


def test_growing_memory_shows_as_a_slope():
    rows = [SoakRow(100 * i, 0, 500 + 2.0 * i, 20.0, 1000, 10) for i in range(1, 11)]
    rows.append(SoakRow(1010, 5, 560.0, 20.0, 1200, 9))
    summary = summarised(rows)
    assert summary["rss_slope_mb_per_1000_frames"] == 20
    assert summary["gaussians_max"] == 1200 and summary["nodes_max"] == 10
    assert summary["rss_mb_first_to_last"] == [512.0, 560.0]
