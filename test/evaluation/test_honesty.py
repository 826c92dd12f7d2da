"""Stated errors against true ones, with updates whose errors are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.evaluation.parts.honesty import HonestyPart
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.types import IntrinsicsEstimate, ScaleSource, TrackingState

MILLIMETRE = 1e-3


def scored(sequence, updates):
    part = HonestyPart(sequence, Pipeline())
    for i, update in enumerate(updates):
        part.add(i, update)
    return part.scores().values


def moved(x: float) -> np.ndarray:
    return se3.from_vectors(np.zeros(3), np.array([x, 0, 0]))


def stated(update, sigma: float):
    """The update with a pose of this deviation, in metres and radians alike."""
    return replace(update, pose=replace(update.pose, covariance=sigma**2 * np.eye(6)))


def walk(sequence, make_update, error: float, sigma: float):
    """Updates that are `error` off sideways, and references of a camera that moves."""
    sequence.poses = {i: moved(2 * MILLIMETRE * i) for i in range(len(sequence))}
    return [
        stated(make_update(frame, T=moved(2 * MILLIMETRE * i + error * (i > 0))), sigma)
        for i, frame in enumerate(sequence)
    ]


@pytest.mark.parametrize(("sigma", "share"), [(1.0, 1.0), (0.2, 0.0)])
def test_a_pose_is_covered_where_its_stated_error_is_as_large(clip, make_update, sigma, share):
    sequence = clip(5)
    updates = walk(sequence, make_update, MILLIMETRE, sigma * MILLIMETRE)
    values = scored(sequence, updates)
    assert values["pose_within_95"] == share
    assert values["pose_nees_median"] == pytest.approx(1 / sigma**2, rel=1e-3)
    assert values["strays_of_distance"] == pytest.approx(0.02)


def test_lost_frames_state_nothing(clip, make_update):
    sequence = clip(5)
    updates = walk(sequence, make_update, 1.0, MILLIMETRE)
    updates = [
        replace(u, pose=replace(u.pose, state=TrackingState.LOST)) if i > 1 else u
        for i, u in enumerate(updates)
    ]
    assert scored(sequence, updates)["pose_within_95"] == 0
    updates[1] = replace(updates[1], pose=replace(updates[1].pose, state=TrackingState.LOST))
    assert "pose_within_95" not in scored(sequence, updates)


def test_a_relative_path_at_rest_is_measured_by_the_distance(clip, make_update):
    sequence = clip(4)
    sequence.poses = dict.fromkeys(range(4), np.eye(4))
    half = np.full((24, 32), 0.5, np.float32)
    updates = [
        make_update(frame, half, moved(0.05 * i), ScaleSource.RELATIVE)
        for i, frame in enumerate(sequence)
    ]
    values = scored(sequence, updates)
    assert values["at_rest"] == 1 and values["strays_of_distance"] == pytest.approx(0.3)


def test_a_focal_length_is_covered_only_where_its_state_claims_one(clip, make_update):
    sequence = clip(4)
    camera = replace(sequence.camera, fx=1.1 * sequence.camera.fx, fy=1.1 * sequence.camera.fy)
    states = ["unobservable", "converging", "converged", "converged"]
    sigmas = [0.001, 0.001, 0.1, 0.01]
    updates = [
        replace(
            make_update(frame),
            intrinsics=IntrinsicsEstimate(
                camera, np.diag([(sigma * camera.fx) ** 2] * 4), state, 1, "estimate"
            ),
        )
        for frame, state, sigma in zip(sequence, states, sigmas)
    ]
    values = scored(sequence, updates)
    assert values["focal_within_2_sigma"] == pytest.approx(1 / 3)
    assert values["converged_share"] == 0.5
    assert values["focal_worst_converged"] == pytest.approx(np.log(1.1))
