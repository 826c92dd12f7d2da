"""StereoMIS folders: two numberings, millimetres, stacked eyes, sloppy ini files."""

import json
import re

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.datasets.published.stereomis import StereoMISSequence
from endosfm3d_ros.datasets.published.stereomis_calibration import read_stereo_calibration
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry import se3


def grey(image):
    """Which frame an image of the generated video is."""
    return float(image.mean()) / 20


def test_a_folder_is_read(stereomis):
    stereomis.truth()
    sequence = open_sequence(stereomis.folder, start=5)
    assert isinstance(sequence, StereoMISSequence)
    assert (sequence.name, sequence.fps, len(sequence)) == ("P9", 12.5, 12)
    for i, frame in enumerate(sequence):
        assert frame.stamp == 5 + i * 80_000_000
        assert frame.image.shape == frame.right_image.shape == (48, 64, 3)
        assert grey(frame.image) == pytest.approx(i, abs=0.2)  # left is on top
        assert grey(frame.right_image) == pytest.approx(i + 0.5, abs=0.2)
    np.testing.assert_array_equal(sequence.reference_pose(0), np.eye(4))
    assert sequence.reference_pose(4)[0, 3] == 0.004


def test_the_pair_is_metric_and_rectified(stereomis):
    pair = StereoMISSequence(stereomis.folder).stereo
    T = np.array([-4.2, 0.02, 0.03]) * 1e-3
    assert pair.baseline == pytest.approx(np.linalg.norm(T), rel=1e-9)
    assert pair.left.distortion == (0.01, -0.02, 0.0, 0.0, 0.003)
    point = np.array([[0.004, -0.003, 0.06]])  # seen by both raw eyes, on one rectified row
    rows = []
    for eye, R, P, seen in (
        (pair.left, pair.R_left, pair.P_left, point),
        (pair.right, pair.R_right, pair.P_right, point + T),
    ):
        raw = eye.project(seen)
        D = np.array(eye.distortion)
        rows.append(cv2.undistortPoints(raw[None], eye.K, D, R=R, P=P)[0, 0])
    disparity = rows[0][0] - rows[1][0]
    depth = (pair.R_left @ point[0])[2]
    assert rows[0][1] == pytest.approx(rows[1][1], abs=1e-3)
    assert pair.P_left[0, 0] * pair.baseline / disparity == pytest.approx(depth, rel=1e-4)


def test_another_resolution_is_rescaled_about_pixel_centres(stereomis):
    stereomis.ini(size=(128, 96))
    camera = StereoMISSequence(stereomis.folder).camera
    assert camera.size == (64, 48)
    assert (camera.fx, camera.cx, camera.cy) == (27.5, (31.5 + 0.5) / 2 - 0.5, 11.5)


def test_eight_coefficients_are_kept(stereomis):
    stereomis.ini(k6=0.25)
    camera = StereoMISSequence(stereomis.folder).camera
    assert camera.distortion_model == "rational_polynomial" and camera.distortion[5] == 0.25


def test_masks_count_from_one_and_zero_is_the_instrument(stereomis):
    stereomis.mask(1)
    stereomis.mask(12, shape=(96, 128))
    sequence = StereoMISSequence(stereomis.folder)
    for i in (0, 11):
        mask = sequence.mask(i)
        assert mask.shape == (48, 64) and mask[:, i + 1].all() and mask.sum() == 48
    assert sequence.mask(1) is None and sequence.number(11) == 12
    assert not sequence.mask_valid(1) and sequence.mask_valid(11)


def test_splits_are_half_open_and_count_from_one(stereomis):
    stereomis.truth()
    stereomis.split("test", "2,4\n9,99\n")
    sequence = StereoMISSequence(stereomis.folder, split="test", start=0)
    assert [sequence.number(i) for i in range(len(sequence))] == [2, 3, 9, 10, 11, 12]
    frames = list(sequence)
    assert [round(grey(frame.image)) for frame in frames] == [1, 2, 8, 9, 10, 11]
    assert [frame.stamp // 80_000_000 for frame in frames] == [0, 1, 7, 8, 9, 10]
    assert sequence.reference_pose(2)[0, 3] == 0.008


@pytest.mark.parametrize("ticks", [1, 10**3, 10**6, 10**9])
def test_time_stamps_beside_the_video_in_any_unit(stereomis, ticks):
    times = 1_600_000_000 + np.arange(12) * 0.08
    times[5:] += 0.4
    stamps = [{"timestamp": round(time * ticks, 3)} for time in times]
    (stereomis.folder / "P9.json").write_text(json.dumps(stamps))
    stereomis.split("test", "5,7\n")
    frames = list(StereoMISSequence(stereomis.folder, split="test", start=10))
    assert [frame.stamp for frame in frames] == [10, pytest.approx(480_000_010, abs=1e6)]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[]", "numeric timestamp for each of 12 frames"),
        ("{", "numeric timestamp for each of 12 frames"),
        (json.dumps([{"timestamp": 1}] * 12), "must increase"),
    ],
)
def test_wrong_time_stamps_are_one_sentence(stereomis, content, sentence):
    (stereomis.folder / "P9.json").write_text(content)
    with pytest.raises(InputError, match=sentence):
        StereoMISSequence(stereomis.folder)


@pytest.mark.parametrize(
    ("pattern", "replacement", "sentence"),
    [
        (r"\[StereoRight\]", "[Right]", "has no 'StereoRight'"),
        (r"fc_x = 55.0", "", "has no 'fc_x'"),
        (r"fc_x = 55.0", "fc_x = 0", "focal lengths 0.0, 55.0 px: both must be positive"),
        (r"cc_x = 31.5", "cc_x = nan", "all must be finite"),
        (r"cc_y = 23.5", "cc_y = many", "no number: .*'many'"),
        (r"res_x = 64", "res_x = 99", "99x48, but the video has 64x48"),
        (r"R_4 = 1.0", "R_4 = 2.0", "no rigid motion"),
        (r"T_0 = -4.2", "T_0 = 4.2", "a baseline of -4.2.* mm"),
        (r"T_0 = -4.2", "T_0 = -4200", "0.5 to 50 mm to the right is accepted"),
        (r"^\[StereoLeft\]", "StereoLeft", "is no ini file"),
        (r"kc_4 = 0.003", "kc_0 = 0.003", "is no ini file: .*already exists"),
    ],
)
def test_a_wrong_ini_is_one_sentence(stereomis, pattern, replacement, sentence):
    path = stereomis.folder / "StereoCalibration.ini"
    path.write_text(re.sub(pattern, replacement, path.read_text()))
    with pytest.raises(InputError, match=sentence) as caught:
        StereoMISSequence(stereomis.folder)
    assert len(str(caught.value).splitlines()) == 1 and str(path) in str(caught.value)


def test_missing_and_wrong_files_are_one_sentence(stereomis):
    folder = stereomis.folder
    with pytest.raises(InputError, match=r"has no test_split.csv, but none"):
        StereoMISSequence(folder, split="test")
    for rows in ("5,2\n", "90,99\n", "4,6\n5,8\n", "0,3\n", "a,b\n", ""):
        stereomis.split("test", rows)
        with pytest.raises(InputError, match=r"test_split\.csv"):
            StereoMISSequence(folder, split="test")
    (folder / "groundtruth.txt").write_text("0 0 0 0 0 0 0 1\n1 0 0 nan 0 0 0 1\n")
    with pytest.raises(InputError, match=r"groundtruth\.txt line 2"):
        StereoMISSequence(folder)
    (folder / "StereoCalibration.ini").unlink()
    with pytest.raises(InputError, match=r"has no StereoCalibration\.ini"):
        StereoMISSequence(folder)
    stereomis.video("second.mp4")
    with pytest.raises(InputError, match=r"has 2 \.mp4 files"):
        StereoMISSequence(folder)


def test_the_published_calibration(shared):
    path = shared / "data" / "stereomis" / "P3_StereoCalibration.ini"
    pair = read_stereo_calibration(path, (1280, 1024))
    assert pair.left.fx == pytest.approx(1042.4930419921875)
    assert pair.baseline == pytest.approx(4.27491e-3, rel=1e-5)
    half = read_stereo_calibration(path, (640, 512))
    assert half.left.cx == pytest.approx((608.7192993164062 + 0.5) / 2 - 0.5)
    assert half.baseline == pytest.approx(pair.baseline, rel=1e-9)


def test_a_whole_folder_with_real_pictures(shared):
    """SCARED pictures in this layout: rectified they equal the rectified clip they come from."""
    folder = shared / "data" / "stereomis" / "fabricated_from_scared" / "S1"
    sequence = open_sequence(folder)
    clip = open_sequence(shared / "data" / "scared_seq")
    np.testing.assert_allclose(sequence.reference_pose(0), np.eye(4), atol=1e-12)
    assert len(sequence) == 60 and sequence.fps == 5.0
    assert [len(StereoMISSequence(folder, split=name)) for name in ("test", "train")] == [40, 20]
    pair = sequence.stereo
    np.testing.assert_allclose(pair.P_right, clip.stereo.P_right, atol=1e-6)
    frame, target = next(iter(sequence)), clip[0]
    for eye, R, P, raw, rectified in (
        (pair.left, pair.R_left, pair.P_left, frame.image, target.image),
        (pair.right, pair.R_right, pair.P_right, frame.right_image, target.right_image),
    ):
        D = np.array(eye.distortion)
        maps = cv2.initUndistortRectifyMap(eye.K, D, R, P[:, :3], eye.size, cv2.CV_32FC1)
        ours = cv2.remap(raw, *maps, cv2.INTER_CUBIC)
        assert np.abs(ours.astype(float) - rectified)[20:-20, 20:-20].mean() < 4
    # raw and rectified eye differ by R only, so distances between frames are the same
    for i in (1, 10, 59):
        ours, theirs = sequence.reference_pose(i), clip.reference_pose(i)
        assert np.linalg.norm(ours[:3, 3]) == pytest.approx(np.linalg.norm(theirs[:3, 3]), abs=1e-7)
        assert se3.rotation_angle(ours) == pytest.approx(se3.rotation_angle(theirs), abs=1e-6)
    assert sequence.mask(0) is not None and sequence.mask(1) is None
