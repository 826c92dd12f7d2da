"""What `endosfm3d bench scene` says of an update."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.bench.scene import bench_scene, measure


@pytest.fixture(scope="module")
def figures():
    return measure(rounds=1, width=160, height=128)


def test_cost_is_counted_in_matchings_of_the_same_round(figures):
    assert set(figures) == {"scene_one_eye", "scene_two_eyes"}
    for row in figures.values():
        assert row["cpu_ms"] > 0
        assert row["in_matchings"] == pytest.approx(row["cpu_ms"] / row["matching_ms"])


def test_stages_are_those_of_the_complete_scene(figures):
    one, two = figures["scene_one_eye"], figures["scene_two_eyes"]
    for row in (one, two):
        assert {"segment", "depth", "motion", "tissue", "tools"} <= set(row["stages"])
        assert np.isfinite(list(row["stages"].values())).all()
    assert "pose" in one["stages"] and "pose" not in two["stages"]


@pytest.mark.slow
def test_every_number_of_cores_has_a_process_of_its_own():
    found = bench_scene(rounds=1, width=160, height=128)
    assert all("cores_1" in rows for rows in found.values())
