"""A simulated clip through the real pipeline: what the report says, and what it leaves out."""

from __future__ import annotations

import json
import threading
import time

import pytest

from endosfm3d_ros.datasets.clips.sequence import ClipSequence
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.evaluation.evaluate import EvaluationConfig, evaluate
from endosfm3d_ros.evaluation.metrics.depth_baselines import MEASURES
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.sfm.config import EstimatorConfig

RUN = {
    "clip", "mode", "frames", "frames_processed", "frames_dropped", "rate_hz", "depth_rate_hz",
    "rss_mb_max", "backend", "depth_source", "scale_source", "latency_ms", "frames_scored", "ci95",
}  # fmt: skip
DEPTH = {
    "abs_rel_median_scaled", "abs_rel_mean_inverse_scaled", "coverage", "rmse_log", "delta1",
    "delta2", "delta3", "abs_rel_affine", "delta1_affine", "relief", "flicker",
    "sq_rel_mm_median_scaled", "rmse_mm_median_scaled",
}  # fmt: skip
BASELINES = {
    f"{baseline}_{measure}"
    for baseline in ("constant", "brightness", "mean_plane")
    for measure in MEASURES
}
METRIC_DEPTH = {"abs_rel_metric", "median_rel_err", "sq_rel", "rmse_mm"}
POSE = {"ate_rot_deg", "rpe_rot_deg", "snippet5_ate", "lost_frames", "ate_sim3_of_path"}
METRIC_POSE = {"ate_se3_mm", "ate_sim3_mm", "path_mm", "rpe_trans_mm"}


@pytest.fixture(scope="module")
def static(clip_folder) -> ClipSequence:
    return ClipSequence(clip_folder)


def configured(source: str = "auto", **options) -> EvaluationConfig:
    return EvaluationConfig(
        pipeline=PipelineConfig(sfm=EstimatorConfig(depth_source=source)), **options
    )


@pytest.fixture(scope="module")
def stereo(static) -> dict:
    return evaluate(static, configured("stereo")).as_json()


@pytest.fixture(scope="module")
def shading(static) -> dict:
    return evaluate(static, configured("shading")).as_json()


def test_a_metric_run_has_every_key(stereo):
    assert stereo.keys() == RUN | {"depth", "pose", "intrinsics"}
    assert stereo["depth"].keys() == DEPTH | METRIC_DEPTH | BASELINES
    assert stereo["pose"].keys() == POSE | METRIC_POSE
    assert stereo["intrinsics"].keys() == {
        "focal_rel_err", "centre_rel_err", "state", "mode", "k_seen_by"
    }  # fmt: skip
    assert (stereo["depth_source"], stereo["scale_source"]) == ("stereo", "stereo")
    assert stereo["frames"] == stereo["frames_processed"] == 7
    assert stereo["frames_scored"] == {"depth": 7, "pose": 7, "intrinsics": 1}


def test_a_metric_run_measures_the_simulated_truth(stereo):
    assert stereo["depth"]["median_rel_err"] < 0.02
    assert stereo["depth"]["coverage"] > 0.8
    assert stereo["pose"]["ate_se3_mm"] < 0.5
    assert stereo["intrinsics"]["k_seen_by"] == "stereo"


def test_a_relative_run_has_no_metres(shading):
    assert shading["scale_source"] == "relative"
    assert shading["depth"].keys() == DEPTH | BASELINES
    assert shading["pose"].keys() == POSE


def test_intervals_surround_their_values(stereo):
    for part in ("depth", "pose"):
        for name, (low, high) in stereo["ci95"][part].items():
            assert low <= stereo[part][name] * (1 + 1e-9) and high >= stereo[part][name] * (
                1 - 1e-9
            )
    assert {"median_rel_err", "flicker"} <= stereo["ci95"]["depth"].keys()
    assert {"ate_se3_mm", "rpe_rot_deg"} <= stereo["ci95"]["pose"].keys()


def test_stages_have_latencies(stereo):
    assert {"depth", "motion", "total"} <= stereo["latency_ms"].keys()
    assert all(0 <= t["p50"] <= t["p95"] for t in stereo["latency_ms"].values())
    assert stereo["rate_hz"] == pytest.approx(1e3 / stereo["latency_ms"]["total"]["p50"], rel=0.7)
    assert stereo["depth_rate_hz"] == stereo["rate_hz"]
    assert stereo["rss_mb_max"] > 50


def test_the_report_is_strict_json(shading):
    json.dumps(shading, allow_nan=False)


def test_offline_runs_are_repeatable(static, stereo):
    again = evaluate(static, configured("stereo")).as_json()
    for part in ("depth", "pose", "intrinsics", "ci95"):
        assert again[part] == stereo[part]


def test_only_what_was_asked_for_is_there(static):
    content = evaluate(static, configured("shading", what=("pose",))).as_json()
    assert "pose" in content and not {"depth", "intrinsics"} & content.keys()


def test_a_part_without_reference_is_absent(clip_folder):
    sequence = ClipSequence(clip_folder)
    sequence.reference_depth = lambda i: None
    report = evaluate(sequence, configured("shading"))
    assert "depth" not in report.as_json() and report.without_reference == ["depth"]


def test_a_live_run_counts_updates_per_second_of_wall_time(static):
    content = evaluate(static, configured("shading", mode="live")).as_json()
    assert content["frames_processed"] + content["frames_dropped"] == 7
    assert content["rate_hz"] <= 1.3 * content["input_hz"]
    assert content["latency_ms"]["image_to_update"]["p50"] > 0
    assert content["frames_scored"]["depth"] == content["frames_processed"]


def test_dropped_frames_are_not_in_the_rate(static, monkeypatch):
    mapped = Pipeline.map

    def slow(pipeline, tracked):
        time.sleep(0.25)
        return mapped(pipeline, tracked)

    monkeypatch.setattr(Pipeline, "map", slow)
    content = evaluate(static, configured("shading", what=("pose",), mode="live")).as_json()
    assert content["frames_dropped"] >= 2
    assert content["rate_hz"] < 4


def test_a_live_run_is_not_slowed_down_by_its_scoring(clip_folder):
    sequence = ClipSequence(clip_folder)
    readers, reference = set(), sequence.reference_depth

    def watched(i):
        readers.add(threading.current_thread())
        return reference(i)

    sequence.reference_depth = watched
    evaluate(sequence, configured("shading", mode="live"))
    assert readers == {threading.main_thread()}  # and not the thread of the pipeline


def test_a_clip_without_frames_is_an_input_error(clip):
    with pytest.raises(InputError, match="made has no frames"):
        evaluate(clip(0), EvaluationConfig())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"what": ("depth", "poses")}, "'poses': accepted are depth, pose, pairs"),
        ({"what": ()}, "nothing: accepted are depth, pose, pairs"),
        ({"mode": "fast"}, "'fast': accepted are live, offline"),
    ],
)
def test_settings_are_refused_with_what_is_accepted(options, sentence):
    with pytest.raises(ConfigurationError, match=sentence):
        EvaluationConfig(**options)
