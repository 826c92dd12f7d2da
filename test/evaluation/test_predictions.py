"""Depth and poses of other methods, from files, scored as ours are."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.formats.poses import write_poses
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.evaluation.evaluate import EvaluationConfig, evaluate

WHAT = ("depth", "pose")


@pytest.fixture(scope="module")
def sequence() -> SimulatedSequence:
    return SimulatedSequence("moving", frames=6, width=160, height=128)


def written(folder: Path, sequence: SimulatedSequence, factor: float, kind: str) -> Path:
    """The truth times a factor, as somebody else would have written it."""
    (folder / "depth").mkdir()
    for i in range(len(sequence)):
        depth = factor * sequence.reference_depth(i)
        path = folder / "depth" / f"frame_{sequence.number(i):04d}.{kind}"
        if kind == "npy":
            np.save(path, depth)
        elif kind == "npz":
            np.savez(path, depth=depth)
        else:
            cv2.imwrite(str(path), np.nan_to_num(depth * 1e5).round().astype(np.uint16))
    poses = {sequence.number(i): sequence.reference_pose(i) for i in range(len(sequence))}
    write_poses(folder / "poses.txt", poses)
    return folder


@pytest.mark.parametrize("kind", ["png", "npy", "npz"])
def test_the_truth_has_no_error_and_a_factor_is_scaled_away(tmp_path, sequence, kind):
    folder = written(tmp_path, sequence, 1.2, kind)
    report = evaluate(sequence, EvaluationConfig(WHAT, predictions=folder))
    depth, pose = report.scores["depth"].values, report.scores["pose"].values
    assert depth["abs_rel_median_scaled"] < 1e-3 and depth["rmse_mm_median_scaled"] < 0.1
    assert "abs_rel_metric" not in depth  # nobody said that it is in metres
    assert pose["ate_sim3_of_path"] < 1e-6 and pose["lost_frames"] == 0
    assert report.depth_source == "predictions" and str(folder) in report.backend


def test_what_says_that_it_is_metric_is_scored_as_it_is(tmp_path, sequence):
    folder = written(tmp_path, sequence, 1.2, "png")
    meaning = {"unit": "metres", "unit_per_step": 1e-5}
    (folder / "depth" / "depth.json").write_text(json.dumps(meaning))
    report = evaluate(sequence, EvaluationConfig(("depth",), predictions=folder))
    assert report.scores["depth"].values["abs_rel_metric"] == pytest.approx(0.2, abs=0.01)


def test_smaller_depth_and_kitti_poses_are_taken(tmp_path, sequence):
    (tmp_path / "depth").mkdir()
    for i in range(len(sequence)):
        small = cv2.resize(sequence.reference_depth(i), (80, 64), interpolation=cv2.INTER_NEAREST)
        np.save(tmp_path / "depth" / f"{sequence.number(i)}.npy", small)
    rows = [sequence.reference_pose(i)[:3].ravel() for i in range(len(sequence))]
    np.savetxt(tmp_path / "poses_kitti.txt", rows)
    report = evaluate(sequence, EvaluationConfig(WHAT, predictions=tmp_path))
    assert report.scores["depth"].values["abs_rel_median_scaled"] < 0.02
    assert report.scores["pose"].values["ate_sim3_of_path"] < 1e-6


def test_frames_without_a_prediction_count_against_it(tmp_path, sequence):
    folder = written(tmp_path, sequence, 1.0, "npy")
    next((folder / "depth").glob("*0002.npy")).unlink()
    report = evaluate(sequence, EvaluationConfig(("depth",), predictions=folder))
    assert report.scores["depth"].values["coverage"] == pytest.approx(5 / 6, abs=0.01)
    assert any("for 5 of 6 frames" in note for note in report.notes)


def test_nothing_and_nonsense_are_one_sentence(tmp_path, sequence):
    with pytest.raises(InputError, match="none is there"):
        evaluate(sequence, EvaluationConfig(WHAT, predictions=tmp_path))
    (tmp_path / "depth").mkdir()
    (tmp_path / "depth" / "0.png").write_text("no picture")
    with pytest.raises(InputError, match=r"0\.png is no depth"):
        evaluate(sequence, EvaluationConfig(("depth",), predictions=tmp_path))
    with pytest.raises(ConfigurationError, match="depth, pose can be scored"):
        EvaluationConfig(("intrinsics",), predictions=tmp_path)
