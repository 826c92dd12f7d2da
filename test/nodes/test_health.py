"""When the watchdog speaks, without ROS and without waiting."""

from __future__ import annotations

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.nodes.health.health import Health, Level
from endosfm3d_ros.tools.types import ToolPlacement
from endosfm3d_ros.types import (
    CameraPose,
    DepthMap,
    Frame,
    IntrinsicsEstimate,
    ScaleEstimate,
    ScaleSource,
    SceneUpdate,
    TrackingState,
)


def update(state=TrackingState.TRACKING, valid: float = 1.0) -> SceneUpdate:
    depth = np.full((10, 10), np.nan, np.float32)
    depth.flat[: int(100 * valid)] = 0.05
    camera = PinholeCamera.default(10, 10)
    image = np.zeros((10, 10, 3), np.uint8)
    return SceneUpdate(
        Frame(0, image),
        image,
        DepthMap(depth, np.nan_to_num(depth), camera, "stereo", ScaleSource.STEREO, 0),
        IntrinsicsEstimate(camera, np.zeros((4, 4)), "fixed", 0, "fixed"),
        CameraPose(np.eye(4), np.eye(4), np.zeros((6, 6)), state, 100),
        lens=camera,
    )


@pytest.fixture
def health() -> Health:
    health = Health()
    health.restart(100.0)
    return health


def levels(health: Health, now: float) -> dict[str, Level]:
    return {finding.part: finding.level for finding in health.findings(now)}


def test_instruments_that_cannot_be_had_are_said_with_the_reason(health):
    health.image_received(101.0)
    placed = SimpleNamespace(
        track=SimpleNamespace(id=2), placement=ToolPlacement.nowhere("mask of 9 pixels")
    )
    tracks = SimpleNamespace(usable=False, reason="mask covers 99% of the image")
    tools = SimpleNamespace(tracks=tracks, notes=("density stays below the threshold",),
                            tools=(placed,))  # fmt: skip
    lost = SimpleNamespace(state=TrackingState.LOST)
    health.scene_updated(replace(update(), tools=tools, tissue=lost), {}, 101.1)
    said = [(f.part, f.level, f.sentence) for f in health.findings(101.2)]
    assert said == [
        ("tissue", Level.WARN, "lost: the map is held as it was"),
        ("tools", Level.WARN, "masks cannot be used: mask covers 99% of the image"),
        ("tools", Level.WARN, "no model: density stays below the threshold"),
        ("tools", Level.WARN, "instrument 2 has no pose: mask of 9 pixels"),
    ]


def test_silence_before_the_first_image(health):
    assert levels(health, 104.9) == {}
    assert levels(health, 105.1) == {"input": Level.WARN}


def test_stale_input(health):
    health.image_received(101.0)
    health.scene_updated(update(), {}, 101.1)
    assert levels(health, 101.4) == {}
    assert levels(health, 101.6) == {"input": Level.WARN}
    assert levels(health, 103.1) == {"input": Level.ERROR}


@pytest.mark.parametrize("rate,level", [(30, None), (20, None), (12, Level.WARN), (5, Level.ERROR)])
def test_a_camera_that_slows_down(health, rate, level):
    """Row 3: below half of its usual rate a warning, below a fifth an error."""
    now = 100.0
    while now < 110.0:
        now += 1 / 30
        health.image_received(now)
    until = now + 3.0
    while now < until:
        now += 1 / rate
        health.image_received(now)
    assert levels(health, now).get("input") == level


def test_rates_are_of_the_last_two_seconds(health):
    for i in range(100):
        health.image_received(100 + i * 0.1)
    assert health.input_rate(109.9) == pytest.approx(10, abs=0.6)
    assert health.input_rate(120.0) == 0


def test_failures_are_an_error_until_one_frame_works(health):
    health.image_received(101.0)
    health.scene_failed("no baseline", crashed=False)
    assert levels(health, 101.1) == {"processing": Level.ERROR}
    assert (health.failures, health.crashes) == (1, 0)
    health.scene_failed("RuntimeError()", crashed=True)
    health.catch_up()
    assert (health.failures, health.crashes) == (2, 1)
    health.scene_updated(update(), {"latency": 10.0}, 101.2)
    assert levels(health, 101.3) == {}


def test_lost_tracking_and_little_depth_are_said(health):
    health.image_received(101.0)
    health.scene_updated(update(TrackingState.LOST, valid=0.1), {}, 101.0)
    assert levels(health, 101.1) == {"tracking": Level.WARN, "depth": Level.WARN}


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (None, (np.nan, np.nan)),
        (ScaleEstimate(1.2, 0.03, ScaleSource.KINEMATICS, 9), (1.2, 0.03)),
        (ScaleEstimate(1.2, 0.0, ScaleSource.CONSTANT, 1), (1.2, np.nan)),
        (ScaleEstimate(1.0, 0.0, ScaleSource.STEREO, 0), (1.0, np.nan)),
    ],
)
def test_the_doubt_about_the_scale_is_said_only_where_it_was_measured(health, estimate, said):
    health.scene_updated(replace(update(), scale=estimate), {}, 101.0)
    health.catch_up()
    np.testing.assert_equal(health.scale(), said)


def test_memory_is_bounded(health):
    for i in range(5000):
        health.image_received(100 + i * 0.01)
        health.scene_updated(update(), {"latency": 1.0}, 100 + i * 0.01)
    health.catch_up()
    assert len(health._inputs) <= 600
    assert len(health.latency._values["latency"]) <= 200


def test_images_without_answers_are_an_error_with_the_reason_within_two_seconds(health):
    for i in range(20):
        health.image_received(101.0 + 0.1 * i)
    (found,) = health.findings(102.9, lambda: "an image is being computed since 1.9 s")
    assert (found.part, found.level) == ("processing", Level.ERROR)
    assert "nothing goes out for 1.9 s: an image is being computed since 1.9 s" in found.sentence
    health.scene_updated(update(), {}, 102.9)
    assert levels(health, 102.95) == {}


def test_the_counter_that_grew_is_the_reason_where_nothing_else_is(health):
    health.rejected["frame_id changed"] = 7  # of long ago
    health.scene_updated(update(), {}, 100.5)
    health.catch_up()
    for i in range(20):
        health.image_received(101.0 + 0.1 * i)
        health.rejected["unusable message"] += 1
    (found,) = health.findings(102.9)
    assert found.sentence.endswith("20 rejected: unusable message")


def test_a_pause_is_no_silence(health):
    health.paused = True
    for i in range(30):
        health.image_received(101.0 + 0.1 * i)
    assert levels(health, 103.9) == {"output": Level.WARN}


def test_a_thread_that_ended_is_an_error_at_once(health):
    health.image_received(101.0)
    health.failure = "the thread 'pipeline' ended: MemoryError()"
    assert [f.sentence for f in health.findings(101.01)] == [health.failure]


def test_results_of_another_thread_never_disturb_the_reader(health):
    """Once a deque that one thread appended to was iterated by another."""
    one = update()

    def feed():
        for i in range(3000):
            health.scene_updated(one, {"latency": 1.0, f"stage {i % 50}": 1.0}, 101.0)

    feeder = threading.Thread(target=feed)
    feeder.start()
    while feeder.is_alive():
        health.findings(101.0)
        health.output_rate(101.0)
    health.catch_up()
    assert health.processed == 3000
