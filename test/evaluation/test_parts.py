"""Parts fed with updates whose scores are known."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from endosfm3d_ros.evaluation.parts.estimates import DepthPart, IntrinsicsPart, PosePart, Scores
from endosfm3d_ros.evaluation.runs.tissue import _region
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.geometry.undistortion import Undistorter
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.types import Frame, ScaleSource, TrackingState


def depth_only() -> Pipeline:
    return Pipeline(PipelineConfig())


def fed(part, sequence, updates):
    """The scores of a part after these updates."""
    for i, update in enumerate(updates):
        part.add(i, update)
    part.settle()
    assert part.pending_bytes == 0
    return part.scores()


def straight(count: int) -> list[np.ndarray]:
    """Camera-to-world of a bend of 1 mm steps."""
    return [
        se3.from_vectors(np.array([0, 0.01 * k, 0]), 1e-3 * np.array([k, 0.02 * k * k, 0]))
        for k in range(count)
    ]


def test_depth_scores_are_means_over_frames_with_reference(clip, make_update, hills):
    sequence = clip(4)
    sequence.depths = {0: hills, 2: hills}
    updates = [make_update(f, hills * k) for f, k in zip(sequence, (1.01, 9, 1.03, 9))]
    scores = fed(DepthPart(sequence, depth_only()), sequence, updates)
    assert scores.frames == 2
    assert scores.values["abs_rel_metric"] == pytest.approx(0.02, rel=1e-3)
    assert scores.values["flicker"] == pytest.approx(np.log(1.03 / 1.01), rel=1e-3)
    low, high = scores.ci95["abs_rel_metric"]
    assert (low, high) == pytest.approx((0.01, 0.03), rel=1e-3)


def test_a_constant_scale_does_not_flicker(clip, make_update, hills):
    sequence = clip(5)
    sequence.depths = dict.fromkeys(range(5), hills)
    updates = [make_update(f, 4 * hills, scale=ScaleSource.RELATIVE) for f in sequence]
    scores = fed(DepthPart(sequence, depth_only()), sequence, updates)
    assert scores.values["flicker"] == pytest.approx(0, abs=1e-6)
    assert not {"abs_rel_metric", "median_rel_err", "sq_rel", "rmse_mm"} & scores.values.keys()


def test_smaller_depth_is_scored_at_the_size_of_the_reference(clip, make_update):
    sequence = clip(1)
    sequence.depths = {0: np.full((24, 32), 0.06, np.float32)}
    small = np.full((12, 16), 0.06, np.float32)
    scores = fed(
        DepthPart(sequence, depth_only()), sequence, [make_update(next(iter(sequence)), small)]
    )
    assert scores.values["coverage"] == 1
    assert scores.values["abs_rel_metric"] == pytest.approx(0, abs=1e-6)


def test_held_depth_maps_are_few_and_spread(clip, make_update, hills):
    sequence = clip(40)
    sequence.depths = {i: hills for i in range(0, 40, 2)}
    part = DepthPart(sequence, depth_only(), limit=5)
    for i, frame in enumerate(sequence):
        part.add(i, make_update(frame, hills))
    assert part.pending_bytes == 5 * hills.nbytes
    part.settle()
    assert part.scores().frames == 5


def test_a_dead_depth_source_scores_its_coverage(clip, make_update, hills):
    sequence = clip(2)
    sequence.depths = {0: hills, 1: hills}
    nothing = np.full_like(hills, np.nan)
    scores = fed(
        DepthPart(sequence, depth_only()), sequence, [make_update(f, nothing) for f in sequence]
    )
    assert scores.values == {"coverage": 0}


def test_pose_scores_of_a_shrunk_path(clip, make_update):
    sequence = clip(10)
    sequence.poses = dict(enumerate(straight(10)))
    shrunk = [se3.from_rotation(T[:3, :3], 0.9 * T[:3, 3]) for T in straight(10)]
    updates = [make_update(f, T=T) for f, T in zip(sequence, shrunk)]
    values = fed(PosePart(sequence, depth_only()), sequence, updates).values
    positions = 1e3 * np.stack(straight(10))[:, :3, 3]
    spread = np.sqrt(np.square(positions - positions.mean(axis=0)).sum(axis=1).mean())
    assert values["ate_se3_mm"] == pytest.approx(0.1 * spread, rel=1e-6)
    assert values["ate_sim3_mm"] == pytest.approx(0, abs=1e-9)
    assert values["snippet5_ate"] == pytest.approx(0, abs=1e-9)
    steps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    assert values["path_mm"] == pytest.approx(steps.sum())
    assert values["rpe_trans_mm"] == pytest.approx(0.1 * np.sqrt(np.mean(steps**2)))
    assert values["rpe_rot_deg"] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("why", ["relative scale", "reference without metres"])
def test_no_millimetres_without_a_metric_scale(clip, make_update, why):
    sequence = clip(8)
    sequence.poses = dict(enumerate(straight(8)))
    relative = why == "relative scale"
    sequence.poses_metric = relative
    scale = ScaleSource.RELATIVE if relative else ScaleSource.STEREO
    updates = [make_update(f, T=T, scale=scale) for f, T in zip(sequence, straight(8))]
    values = fed(PosePart(sequence, depth_only()), sequence, updates).values
    unitless = {"lost_frames", "ate_sim3_of_path", "ate_rot_deg", "rpe_rot_deg", "snippet5_ate"}
    assert set(values) == unitless


def test_lost_frames_count_with_the_pose_they_hold(clip, make_update):
    sequence = clip(6)
    sequence.poses = dict(enumerate(straight(6)))
    updates = [make_update(f, T=T) for f, T in zip(sequence, straight(6))]
    updates[5] = make_update(updates[5].frame, T=straight(6)[4], state=TrackingState.LOST)
    scores = fed(PosePart(sequence, depth_only()), sequence, updates)
    assert scores.values["lost_frames"] == 1 and scores.frames == 6
    assert scores.values["ate_se3_mm"] > 0.1


def test_parts_without_reference_have_no_scores(clip, make_update):
    sequence = clip(3)
    sequence.camera = None
    updates = [make_update(f) for f in sequence]
    for part in (DepthPart, PosePart, IntrinsicsPart):
        assert fed(part(sequence, depth_only()), sequence, updates) is None


def test_intrinsics_are_those_of_the_last_frame(clip, make_update):
    sequence = clip(3)
    pipeline = depth_only()
    values = fed(IntrinsicsPart(sequence, pipeline), sequence, map(make_update, sequence)).values
    assert values["focal_rel_err"] == values["centre_rel_err"] == 0
    assert (values["state"], values["mode"]) == ("converged", "estimate")
    assert values["k_seen_by"] == pipeline.sfm.k_seen_by()


def test_intrinsics_of_a_zoomed_camera_are_compared_with_the_zoomed_one(clip, make_update):
    sequence = clip(3)
    camera = sequence.camera
    half = replace(camera, fx=camera.fx / 2, fy=camera.fy / 2)
    sequence.reference_camera = {2: half}.get
    part = IntrinsicsPart(sequence, depth_only())
    assert fed(part, sequence, map(make_update, sequence)).values["focal_rel_err"] == 1


def test_what_is_no_finite_number_is_left_out():
    scores = Scores(0).with_mean("psnr", np.array([30, np.inf])).with_mean("ssim", np.empty(0))
    assert scores == Scores(0)


def test_pose_and_intrinsics_are_drawn_where_a_folder_is_given(clip, make_update, tmp_path):
    sequence = clip(6)
    sequence.poses = dict(enumerate(straight(6)))
    updates = [make_update(f, T=T) for f, T in zip(sequence, straight(6))]
    for part, name in ((PosePart, "trajectory.png"), (IntrinsicsPart, "focal_length.png")):
        fed(part(sequence, depth_only(), tmp_path), sequence, updates)
        picture = cv2.imread(str(tmp_path / name))
        assert picture.shape[0] > 300
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 20


def test_masks_of_a_bent_image_are_scored_where_the_straight_one_has_them(make_update):
    """The reference mask is one of the raw image, the picture to be scored is not."""
    lens = PinholeCamera(320, 256, 240.0, 240.0, 160.0, 128.0, (-0.45, 0.2, 0.0, 0.0, 0.0))
    image = np.full((256, 320, 3), (170, 80, 60), np.uint8)
    mask = np.zeros((256, 320), bool)
    mask[10:60, 10:70] = True
    image[mask] = 110, 130, 150

    drawn = mask

    class Masked:
        mask = staticmethod(lambda i: drawn)
        ignore = staticmethod(lambda i: None)
        mask_valid = staticmethod(lambda i: True)

    straight = Undistorter().apply(image, lens)
    depth = np.full((256, 320), 0.05, np.float32)
    made = make_update(Frame(0, image), depth)
    made = replace(
        made, image=straight, lens=lens, depth=replace(made.depth, camera=lens.undistorted())
    )
    region = _region(Masked, 0, made)
    tool = np.abs(straight.astype(int) - (110, 130, 150)).sum(axis=2) < 30
    assert tool.sum() > 2000 and not (region & tool).any()
    assert (mask & region).sum() > 300  # where the raw mask was
