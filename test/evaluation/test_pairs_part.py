"""Single pairs of the pose network against the references of a clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.evaluation.parts.pairs import PairsPart, direction_angle, rotation_angle
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.types import MotionPrior


def test_pairs_are_compared_one_by_one(clip, make_update):
    sequence = clip(4)
    steps = [np.array([0.001 * (1 + k), 0, 0]) for k in range(4)]
    poses = [np.eye(4)]
    for k in range(3):
        poses.append(poses[-1] @ se3.from_vectors(np.array([0, 0.01 * (k + 1), 0]), steps[k]))
    sequence.poses = dict(enumerate(poses))
    frames = list(sequence)
    turned = se3.from_vectors(np.array([0, 0, np.radians(2)]), np.zeros(3))
    motions = {frames[k].stamp: turned @ se3.inverse(poses[k]) @ poses[k - 1] for k in (2, 3)}
    camera = sequence.camera.resized(*sequence.camera.size)
    part = PairsPart(sequence, None)  # the answer comes with the update: no pipeline is asked
    for i, frame in enumerate(frames):
        motion = motions.get(frame.stamp)
        prior = None if motion is None else MotionPrior(motion, camera)
        part.add(i, replace(make_update(frame), motion_prior=prior))
    scores = part.scores()
    assert scores.frames == 2
    assert scores.values["rot_deg"] == pytest.approx(2, rel=1e-3)
    assert scores.values["constant_velocity_rot_deg"] == pytest.approx(np.degrees(0.01), rel=1e-2)
    assert scores.values["direction_deg"] == pytest.approx(2, abs=0.2)
    assert scores.values["focal_rel_err"] == 0


def test_without_poses_or_network_there_is_nothing(clip, make_update):
    sequence = clip(3)
    part = PairsPart(sequence, None)
    for i, frame in enumerate(sequence):
        part.add(i, make_update(frame))
    assert part.scores() is None


def test_angles():
    T = se3.from_vectors(np.array([0, 0, np.radians(30)]), np.array([1.0, 0, 0]))
    assert rotation_angle(np.eye(4), T) == pytest.approx(30)
    other = se3.from_vectors(np.zeros(3), np.array([0, 2.0, 0]))
    assert direction_angle(other, T) == pytest.approx(90)
    assert np.isnan(direction_angle(other, np.eye(4)))
