from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.sfm.tracking.keyframe_window import Improved, WindowConfig
from endosfm3d_ros.sfm.tracking.keyframes import Keyframe
from endosfm3d_ros.sfm.tracking.localisation import LocalisationConfig
from endosfm3d_ros.sfm.tracking.motion import MotionTracker
from endosfm3d_ros.sfm.tracking.motion_config import MotionConfig
from endosfm3d_ros.types import DepthMap, ScaleSource, TrackingState


def exact_depth(sequence, i: int, frame) -> DepthMap:
    depth = sequence.reference_depth(i).astype(np.float32)
    ones = np.ones_like(depth)
    return DepthMap(depth, ones, frame.camera, "exact", ScaleSource.STEREO, frame.stamp)


def sloping(depth: DepthMap) -> DepthMap:
    """A guess that slopes the wrong way."""
    wrong = np.linspace(0.03, 0.09, 320, dtype=np.float32) * np.ones((256, 1), np.float32)
    return replace(depth, depth=wrong, scale=ScaleSource.RELATIVE)


@pytest.fixture(scope="module")
def clip():
    sequence = SimulatedSequence("moving", frames=24, width=320, height=256, fps=10)
    return sequence, [(f, exact_depth(sequence, i, f)) for i, f in enumerate(sequence)]


def test_the_path_is_followed_to_a_fraction_of_a_millimetre(clip):
    sequence, frames = clip
    tracker = MotionTracker()
    poses = [tracker.track(frame, depth).pose for frame, depth in frames]
    assert all(pose.state == TrackingState.TRACKING for pose in poses)
    errors = [
        se3.inverse(sequence.reference_pose(0) @ pose.T_odom_camera) @ sequence.reference_pose(i)
        for i, pose in enumerate(poses)
    ]
    path = np.linalg.norm(sequence.reference_pose(23)[:3, 3] - sequence.reference_pose(0)[:3, 3])
    assert path > 5e-3
    assert max(np.linalg.norm(error[:3, 3]) for error in errors) < 1.5e-4
    assert max(se3.rotation_angle(error) for error in errors) < np.radians(0.2)


def test_the_covariance_is_of_the_size_of_the_error(clip):
    sequence, frames = clip
    tracker = MotionTracker()
    for frame, depth in frames:
        pose = tracker.track(frame, depth).pose
    error = pose.T_odom_camera[:3, 3] - sequence.reference_pose(23)[:3, 3]
    sigma = np.sqrt(np.diag(pose.covariance)[:3])
    assert (np.abs(error) < 6 * sigma).all()
    assert sigma.max() < 1e-3


def test_a_blank_image_holds_the_pose_and_says_lost(clip):
    _, frames = clip
    tracker = MotionTracker()
    for frame, depth in frames[:5]:
        good = tracker.track(frame, depth).pose
    frame, depth = frames[5]
    lost = tracker.track(replace(frame, image=np.zeros_like(frame.image)), depth).pose
    assert lost.state == TrackingState.LOST
    assert np.array_equal(lost.T_odom_camera, good.T_odom_camera)
    assert (np.diag(lost.covariance) > np.diag(good.covariance)).all()
    again = tracker.track(frame, depth).pose
    assert again.state == TrackingState.TRACKING


def test_after_many_lost_frames_it_starts_anew_without_a_jump(clip):
    _, frames = clip
    tracker = MotionTracker(MotionConfig(restart_after=0.0, restart_frames=3))
    for frame, depth in frames[:3]:
        last = tracker.track(frame, depth).pose
    frame, depth = frames[3]
    for _ in range(3):
        tracker.track(replace(frame, image=np.zeros_like(frame.image)), depth)
    again = tracker.track(*frames[20]).pose
    assert again.state == TrackingState.TRACKING
    assert np.array_equal(again.T_odom_camera, last.T_odom_camera)


def test_an_impossible_step_is_not_believed(clip):
    _, frames = clip
    tracker = MotionTracker(MotionConfig(max_step=1e-5))
    tracker.track(*frames[0])
    assert tracker.track(*frames[10]).pose.state == TrackingState.LOST


def test_tools_are_not_tracked(clip):
    """A label over the left half: every point lies outside of it."""
    _, frames = clip
    frame, depth = frames[0]
    labels = np.zeros(frame.image.shape[:2], np.uint8)
    labels[:, :160] = 1
    tracker = MotionTracker()
    tracker.track(replace(frame, tool_labels=labels), depth)
    assert tracker._keyframe.pixels[:, 0].min() >= 160


def test_the_same_frames_give_the_same_poses(clip):
    _, frames = clip
    runs = []
    for _ in range(2):
        tracker = MotionTracker()
        runs.append([tracker.track(*pair).pose.T_odom_camera for pair in frames[:8]])
    assert np.array_equal(*runs)


def test_key_frames_adjusted_together_are_nearer_to_the_truth(clip):
    """The same frames with a key frame every few px, alone and in a window."""
    sequence, frames = clip
    truth = np.stack([sequence.reference_pose(i) for i in range(len(frames))])
    errors = {}
    for views in (1, 8):
        window = WindowConfig(views=views)
        tracker = MotionTracker(MotionConfig(keyframe_flow=5.0, window=window))
        noise = np.random.default_rng(0)
        poses = []
        for frame, depth in frames:
            factor = np.exp(0.01 * noise.normal(size=depth.depth.shape)).astype(np.float32)
            poses.append(tracker.track(frame, replace(depth, depth=depth.depth * factor)).pose)
        estimate = truth[0] @ np.stack([pose.T_map_camera for pose in poses])
        errors[views] = np.linalg.norm(estimate[:, :3, 3] - truth[:, :3, 3], axis=1).mean()
    assert errors[8] < 0.8 * errors[1]


def test_odometry_goes_on_without_a_step_where_the_map_is_corrected(clip):
    _, frames = clip
    tracker = MotionTracker(MotionConfig(keyframe_flow=5.0))
    poses = [tracker.track(*pair).pose for pair in frames]
    corrections = [np.abs(b.T_map_odom - a.T_map_odom).max() for a, b in pairwise(poses)]
    steps = [
        np.linalg.norm((se3.inverse(a.T_odom_camera) @ b.T_odom_camera)[:3, 3])
        for a, b in pairwise(poses)
    ]
    assert max(corrections) > 0
    assert max(steps) < 3 * np.median(steps)


def test_a_lost_camera_is_found_again_elsewhere_without_a_step_of_odometry(clip):
    """Seen from the first frames on; lost; back at a view from the beginning."""
    sequence, frames = clip
    tracker = MotionTracker(MotionConfig(keyframe_flow=5.0, max_step=1e-3))
    for pair in frames[:20]:
        tracker.track(*pair)
    frame, depth = frames[20]
    held = tracker.track(replace(frame, image=np.zeros_like(frame.image)), depth).pose
    assert held.state == TrackingState.LOST
    again = tracker.track(*frames[1]).pose
    assert again.state == TrackingState.TRACKING
    assert np.allclose(again.T_odom_camera, held.T_odom_camera)
    truth = se3.inverse(sequence.reference_pose(0)) @ sequence.reference_pose(1)
    assert np.linalg.norm(again.T_map_camera[:3, 3] - truth[:3, 3]) < 3e-4


def test_a_start_anew_is_joined_to_the_map_when_a_place_is_recognised(clip):
    sequence, frames = clip
    tracker = MotionTracker(MotionConfig(keyframe_flow=3.0, restart_after=0.0, restart_frames=1))
    for pair in frames[:12]:
        tracker.track(*pair)
    frame, depth = frames[12]
    tracker.track(replace(frame, image=np.zeros_like(frame.image)), depth)
    # starts anew at the held pose although the camera is elsewhere, then comes back
    for i in range(16, -1, -1):
        pose = tracker.track(*frames[i]).pose
    truth = se3.inverse(sequence.reference_pose(0)) @ sequence.reference_pose(0)
    assert pose.state == TrackingState.TRACKING
    assert np.linalg.norm(pose.T_map_camera[:3, 3] - truth[:3, 3]) < 5e-4


def test_key_frames_follow_a_camera_that_is_known_better(clip):
    """Its focal length was believed to be 10 % too long for the first half."""
    sequence, frames = clip
    truth = se3.inverse(sequence.reference_pose(12)) @ sequence.reference_pose(23)

    def error(config: MotionConfig) -> float:
        tracker, poses = MotionTracker(config), []
        for i, (frame, depth) in enumerate(frames):
            factor = 1.1 if i < 12 else 1.0
            camera = replace(depth.camera, fx=factor * depth.camera.fx, fy=factor * depth.camera.fy)
            seen = replace(depth, camera=camera, scale=ScaleSource.RELATIVE)
            poses.append(tracker.track(frame, seen).pose)
        assert all(pose.state == TrackingState.TRACKING for pose in poses)
        moved = se3.inverse(poses[12].T_map_camera) @ poses[-1].T_map_camera
        return np.linalg.norm(moved[:3, 3] - truth[:3, 3])

    follows, stays = error(MotionConfig()), error(MotionConfig(recalibration=1.0))
    assert follows < 0.5 * stays


def test_parallax_replaces_a_guessed_shape(clip):
    """Depth that slopes the wrong way, and no adjustment: two views alone put it right."""
    sequence, frames = clip
    tracker = MotionTracker(MotionConfig(window=WindowConfig(min_matches=10**6)))
    spread = []
    for i, (frame, depth) in enumerate(frames[:12]):
        assert tracker.track(frame, sloping(depth)).pose.state == TrackingState.TRACKING
        u, v = tracker.landmarks.pixels.round().astype(int).T
        ratios = np.log(tracker.landmarks.depth / sequence.reference_depth(i)[v, u])
        spread.append(np.std(ratios))
    assert spread[0] > 0.2
    assert np.median(spread[-3:]) < 0.05


def test_a_new_key_frame_of_one_eye_keeps_the_depth_that_was_found(clip):
    sequence, frames = clip

    def spread(handed_on: float) -> float:
        """Of the points' shape where key frames begin."""
        tracker, spreads = MotionTracker(MotionConfig(keyframe_flow=20, handed_on=handed_on)), []
        for i, (frame, depth) in enumerate(frames):
            before = tracker._keyframes
            assert tracker.track(frame, sloping(depth)).pose.state == TrackingState.TRACKING
            if before and tracker._keyframes > before:
                u, v = tracker.landmarks.pixels.round().astype(int).T
                ratios = tracker.landmarks.depth / sequence.reference_depth(i)[v, u]
                spreads.append(np.std(np.log(ratios)))
        assert len(spreads) >= 3
        return float(np.mean(spreads))

    assert spread(MotionConfig().handed_on) < 0.7 * spread(0.0)


def test_an_adjustment_that_found_no_time_is_made_up_for(clip, monkeypatch):
    _, frames = clip
    tracker, asked = MotionTracker(MotionConfig(keyframe_flow=20)), []
    submit = tracker._refinement.submit

    def busy_at_first(job) -> bool:
        asked.append(tracker._keyframes)
        return len(asked) > 1 and submit(job)

    monkeypatch.setattr(tracker._refinement, "submit", busy_at_first)
    for frame, depth in frames:
        tracker.track(frame, depth)
        if len(asked) == 2:
            break
    assert asked == [2, 2]  # for the same key frame again


def test_an_adjustment_with_the_camera_of_before_is_put_onto_the_rays_of_the_better_one(clip):
    _, frames = clip
    tracker = MotionTracker(MotionConfig(keyframe_flow=20))
    for frame, depth in frames:
        tracker.track(frame, replace(depth, scale=ScaleSource.RELATIVE))
    window = tracker._window
    improved = window.solve(window.snapshot())
    old = window.views[-1].camera
    better = replace(old, fx=1.05 * old.fx, fy=1.05 * old.fy)
    window.recalibrate(better)
    depths = [view.points[:, 2] for view in window.views]
    window.apply(improved)
    assert not np.array_equal(window.views[0].points[:, 2], depths[0])
    for view in window.views:
        assert np.abs(better.project(view.points) - view.pixels).max() < 1e-3


def test_views_that_came_during_an_adjustment_follow_the_one_they_hang_on(clip):
    """The adjustment turns, shifts and enlarges what it knows; all of it must stay one world."""
    _, frames = clip
    tracker = MotionTracker(MotionConfig(keyframe_flow=20))
    for frame, depth in frames:
        tracker.track(frame, replace(depth, scale=ScaleSource.RELATIVE))
    window = tracker._window
    views = window.snapshot()
    assert len(views) > 3
    known = views[:-2]
    window.apply(elsewhere(known, growth=1.04))
    for before, after in zip(views, window.views):
        assert np.allclose(after.T_map, WORLD @ se3.scaled(before.T_map, 1.04), atol=1e-9)
        assert np.allclose(after.points, 1.04 * before.points, rtol=1e-6)


WORLD = se3.from_vectors([0.02, -0.01, 0.03], [1e-3, 2e-3, -1e-3])


def elsewhere(views: tuple[Keyframe, ...], growth: float = 1.0) -> Improved:
    """An adjustment that turns, shifts and enlarges the world of these views."""
    return Improved(
        {view.number: WORLD @ se3.scaled(view.T_map, growth) for view in views},
        {view.number: view.covariance for view in views},
        {view.number: growth * view.points for view in views},
        {view.number: view.camera for view in views},
        {},
    )


@pytest.mark.parametrize("late", [0, 1, 2])
def test_an_adjustment_moves_the_map_under_the_current_pose_however_late_it_comes(
    clip, monkeypatch, late
):
    """Odometry takes no step; the camera moves in the map as its key frames do."""
    _, frames = clip
    moved, alone = (MotionTracker(MotionConfig(keyframe_flow=14)) for _ in range(2))
    for tracker in (moved, alone):
        monkeypatch.setattr(tracker._refinement, "submit", lambda job: True)  # runs for ever
    answer = None
    for frame, depth in frames:
        if answer is None and len(moved._window.views) == 2 + late:
            answer = elsewhere(moved._window.snapshot()[:2])
            monkeypatch.setattr(moved._refinement, "take", once(answer))
        one, other = (tracker.track(frame, depth).pose for tracker in (moved, alone))
        assert np.allclose(one.T_odom_camera, other.T_odom_camera, atol=1e-5)
        expected = other.T_map_camera if answer is None else WORLD @ other.T_map_camera
        assert np.allclose(one.T_map_camera, expected, atol=2e-5)
        if len(moved._window.views) == 3 + late:  # with a key frame made since
            break
    assert answer is not None and len(moved._window.views) == 3 + late


def once(answer: Improved):
    """Gives an answer once."""
    answers = [answer]
    return lambda: answers.pop() if answers else None


def foreseen(sequence, i: int, j: int) -> np.ndarray:
    """4x4 motion from frame i to frame j."""
    return se3.inverse(sequence.reference_pose(j)) @ sequence.reference_pose(i)


TURNED = se3.from_vectors([0.0, 0.3, -0.4], [0.02, -0.01, 0.01])


def test_a_foreseen_jump_is_followed_and_a_wrong_forecast_is_not_believed(clip):
    sequence, frames = clip
    states = {}
    for name, motion in (("none", None), ("right", foreseen(sequence, 0, 23)), ("wrong", TURNED)):
        tracker = MotionTracker(MotionConfig(localisation=LocalisationConfig(levels=0)))
        tracker.track(*frames[0])
        pose = tracker.track(*frames[23], motion).pose
        states[name] = pose.state
        if name == "right":
            error = se3.inverse(pose.T_odom_camera) @ foreseen(sequence, 23, 0)
    assert states["none"] == states["wrong"] == TrackingState.LOST
    assert states["right"] == TrackingState.TRACKING
    assert np.linalg.norm(error[:3, 3]) < 3e-4


def test_a_wrong_forecast_harms_nothing(clip):
    _, frames = clip
    poses = {}
    for motion in (None, TURNED):
        tracker = MotionTracker()
        tracked = [tracker.track(*pair, motion).pose for pair in frames[:8]]
        assert all(pose.state == TrackingState.TRACKING for pose in tracked)
        poses[motion is None] = np.stack([pose.T_odom_camera for pose in tracked])
    assert np.array_equal(poses[True], poses[False])


def test_a_picture_of_another_size_that_shows_nothing_leaves_no_half_known_key_frame(clip):
    _, frames = clip
    tracker = MotionTracker()
    for frame, depth in frames[:3]:
        tracker.track(frame, depth)
    black = replace(frames[3][0], image=np.zeros((64, 80, 3), np.uint8))
    small = DepthMap(
        np.full((64, 80), np.nan, np.float32), np.zeros((64, 80), np.float32),
        black.camera.resized(80, 64), "exact", ScaleSource.STEREO, black.stamp,
    )  # fmt: skip
    assert tracker.track(black, small).pose.state == TrackingState.LOST
    assert tracker.rescale(1.1).pose.state == TrackingState.LOST
    assert tracker.track(*frames[4]).pose.state == TrackingState.TRACKING


def test_places_are_recognised_after_the_world_has_grown(clip):
    """Remembered key frames grow with the map, and so does the pose that they give."""
    _, frames = clip
    tracker = MotionTracker(MotionConfig(keyframe_flow=14))
    before = [tracker.track(frame, depth).pose for frame, depth in frames]
    tracker.rescale(1.2)
    grown = replace(frames[8][1], depth=1.2 * frames[8][1].depth)
    seen = replace(frames[8][0], stamp=frames[-1][0].stamp + 10**8)
    lost = replace(seen, image=np.zeros_like(seen.image))
    for _ in range(2):
        assert tracker.track(lost, grown).pose.state == TrackingState.LOST
    again = tracker.track(seen, grown).pose
    assert again.state == TrackingState.TRACKING
    place = 1.2 * before[8].T_map_camera[:3, 3]
    assert np.linalg.norm(place) > 2e-3
    assert np.linalg.norm(again.T_map_camera[:3, 3] - place) < 3e-4
