"""`endosfm3d convert`: what goes into a bag comes out of it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from endosfm3d_ros.datasets.bags.sequence import BagSequence
from endosfm3d_ros.datasets.clips.sequence import ClipSequence
from endosfm3d_ros.datasets.clips.writer import write_clip
from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.datasets.sequence import Sequence, stamp_of
from endosfm3d_ros.datasets.videos.sequence import VideoSequence
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import Frame

pytest.importorskip("rclpy", reason="rclpy is not installed")

SECOND = 1_000_000_000


def assert_same(clip: Sequence, bag: Sequence, exact: bool = True) -> None:
    """Everything the clip has; images exactly or as a JPEG would change them."""
    assert len(clip) == len(bag) and bag.fps == pytest.approx(clip.fps, rel=1e-6)
    assert bag.poses_metric == clip.poses_metric
    for i, (ours, theirs) in enumerate(zip(clip, bag, strict=True)):
        assert theirs.stamp == ours.stamp
        for name in ("image", "right_image"):
            assert_image(getattr(theirs, name), getattr(ours, name), exact)
        for name in ("reference_depth", "mask", "instances"):
            assert_plane(getattr(bag, name)(i), getattr(clip, name)(i))
        assert_plane(bag.reference_pose(i), clip.reference_pose(i))
        assert bag.mask_valid(i) == clip.mask_valid(i)
        if clip.mask_valid(i):
            assert_plane(bag.ignore(i), clip.ignore(i))


def assert_image(theirs: np.ndarray | None, ours: np.ndarray | None, exact: bool) -> None:
    assert (theirs is None) == (ours is None)
    if ours is not None:
        difference = np.abs(theirs.astype(int) - ours)
        assert difference.max() == 0 if exact else difference.mean() < 3


def assert_plane(theirs: np.ndarray | None, ours: np.ndarray | None) -> None:
    assert (theirs is None) == (ours is None)
    if ours is not None:
        np.testing.assert_allclose(theirs, ours, rtol=0, atol=1e-9)


def assert_same_cameras(clip: Sequence, bag: Sequence) -> None:
    assert bag.camera == clip.camera
    for name in ("R_left", "P_left", "R_right", "P_right"):
        np.testing.assert_allclose(
            getattr(bag.stereo, name), getattr(clip.stereo, name), rtol=0, atol=1e-9
        )
    assert bag.stereo.left == clip.stereo.left and bag.stereo.right == clip.stereo.right


def test_a_stereo_clip_survives(clip_folder, tmp_path, run_command):
    result = run_command("convert", clip_folder, tmp_path / "bag")
    assert result.exit_code == 0, result.output
    clip, bag = ClipSequence(clip_folder, start=SECOND), BagSequence(tmp_path / "bag")
    assert_same(clip, bag)
    assert_same_cameras(clip, bag)
    assert "/endoscope/right/image_raw: 4" in result.output and "/tf: 4" in result.output


def test_masks_poses_without_scale_and_gaps_survive(tmp_path, run_command):
    folder = tmp_path / "clip"
    write_clip(Labelled(), folder, image_format="png")
    result = run_command("convert", folder, tmp_path / "bag", "--camera-ns", "rig")
    assert result.exit_code == 0, result.output
    clip, bag = ClipSequence(folder, start=SECOND), BagSequence(tmp_path / "bag")
    assert_same(clip, bag)
    assert not bag.poses_metric and bag.stereo is None and bag.camera == clip.camera
    assert bag.topics.mask == "/rig/left/tool_mask" and bag.topics.right is None
    assert [bag.mask_valid(i) for i in range(4)] == [True, False, False, False]


@pytest.mark.parametrize(("image_format", "exact"), [("png", True), ("jpeg", False)])
def test_compressed_images(clip_folder, tmp_path, run_command, image_format, exact):
    bag = tmp_path / "bag"
    run_command("convert", clip_folder, bag, "--compressed", image_format)
    assert_same(ClipSequence(clip_folder, start=SECOND), BagSequence(bag), exact)
    assert BagSequence(bag).topics.left == "/endoscope/left/image_raw/compressed"


def test_a_bag_converts_to_an_equal_bag(clip_folder, tmp_path, run_command):
    first, second = tmp_path / "first", tmp_path / "second"
    run_command("convert", clip_folder, first, "--compressed", "png")
    assert run_command("convert", first, second).exit_code == 0
    assert_same(BagSequence(first), BagSequence(second))
    assert_same_cameras(BagSequence(first), BagSequence(second))


def test_camera_info_comes_before_the_image_and_log_time_is_the_stamp(
    clip_folder, tmp_path, run_command
):
    from rosbags.rosbag2 import Reader

    run_command("convert", clip_folder, tmp_path / "bag", "--frames", "2")
    with Reader(tmp_path / "bag") as reader:
        rows = [(time, entry.topic) for entry, time, _ in reader.messages()]
    times = sorted({time for time, _ in rows})
    assert times == [SECOND, SECOND + SECOND * 2 // 25]
    for time in times:
        topics = [topic for at, topic in rows if at == time]
        for side in ("left", "right"):
            info, image = (f"/endoscope/{side}/{name}" for name in ("camera_info", "image_raw"))
            assert topics.index(info) < topics.index(image)


def test_transforms_are_apart_from_the_pipelines(clip_folder, tmp_path, run_command):
    from rosbags.highlevel import AnyReader

    run_command("convert", clip_folder, tmp_path / "bag", "--frames", "1")
    with AnyReader([tmp_path / "bag"]) as reader:
        found = [
            (part.header.frame_id, part.child_frame_id)
            for entry, _, data in reader.messages()
            if entry.topic == "/tf"
            for part in reader.deserialize(data, entry.msgtype).transforms
        ]
    assert found == [("reference_world", "reference_camera")]


def test_a_stereomis_split_converts(stereomis, tmp_path, run_command):
    stereomis.truth()
    stereomis.mask(7)
    stereomis.split("test", "6,10\n")
    result = run_command("convert", stereomis.folder, tmp_path / "bag", "--split", "test")
    assert result.exit_code == 0, result.output
    bag = BagSequence(tmp_path / "bag")
    assert len(bag) == 4 and bag.reference_pose(0)[0, 3] == pytest.approx(0.005)
    assert bag.mask(0) is None and bag.mask(1)[:, 7].all()
    assert bag.stereo.baseline == pytest.approx(0.0042, rel=1e-3)


def test_a_video_without_calibration_converts(stereomis, tmp_path, run_command):
    video = stereomis.folder / "P9.mp4"
    result = run_command("convert", video, tmp_path / "bag", "--frames", "3")
    assert result.exit_code == 0 and "no calibration" in result.output
    bag = BagSequence(tmp_path / "bag")
    assert bag.camera is None and len(bag) == 3
    np.testing.assert_array_equal(next(iter(bag)).image, next(iter(VideoSequence(video))).image)


def test_wrong_options_are_one_sentence(clip_folder, tmp_path, run_command):
    for options, sentence in (
        (["--compressed", "webp"], "--compressed webp: accepted are raw, jpeg, png"),
        (["--split", "test"], "rotated is a clip folder"),
    ):
        result = run_command("convert", clip_folder, tmp_path / "bag", *options)
        assert result.exit_code == 1
        assert isinstance(result.exception, ConfigurationError) and sentence in str(
            result.exception
        )
    assert list(tmp_path.iterdir()) == []


def test_an_old_bag_is_only_replaced_when_asked(clip_folder, tmp_path, run_command):
    bag = tmp_path / "bag"
    assert run_command("convert", clip_folder, bag, "--frames", "1").exit_code == 0
    refused = run_command("convert", clip_folder, bag)
    assert refused.exit_code == 1 and "exists: choose another name or add --force" in str(
        refused.exception
    )
    assert len(BagSequence(bag)) == 1
    assert run_command("convert", clip_folder, bag, "--force").exit_code == 0
    assert len(BagSequence(bag)) == 4 and list(tmp_path.iterdir()) == [bag]


def test_nothing_stays_of_a_conversion_that_failed(clip_folder, tmp_path, run_command):
    """The third image of the clip is cut off."""
    broken = copied(clip_folder, tmp_path / "broken")
    image = broken / "left" / "000002.png"
    image.write_bytes(image.read_bytes()[:500])
    result = run_command("convert", broken, tmp_path / "out" / "bag")
    assert result.exit_code == 1 and isinstance(result.exception, InputError)
    assert "000002.png: compressed image of 500 bytes is cut off" in str(result.exception)
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("key", "value", "sentence"),
    [
        ("K1", np.zeros((3, 3)), "focal lengths 0.0, 0.0 px: both must be positive"),
        ("K1", np.full((3, 3), np.nan), r"K1 of shape \(3, 3\): finite"),
        ("P2", None, r"P2 of shape \(\): finite \(3, 4\)"),
        ("fps", 0, "fps 0: it must be a positive number"),
        ("image_size", [320, 256], "is 160x128, but the camera file says 320x256"),
    ],
)
def test_a_wrong_calibration_is_one_sentence(
    clip_folder, tmp_path, run_command, key, value, sentence
):
    broken = copied(clip_folder, tmp_path / "broken")
    path = broken / "calibration.json"
    content = json.loads(path.read_text())
    content[key] = value.tolist() if isinstance(value, np.ndarray) else value
    path.write_text(json.dumps(content))
    result = run_command("convert", broken, tmp_path / "bag")
    assert result.exit_code == 1 and isinstance(result.exception, InputError)
    assert re.search(sentence, str(result.exception)), str(result.exception)
    assert not (tmp_path / "bag").exists()


def test_the_research_clips_survive(shared, tmp_path, run_command):
    """Ten frames of each real clip."""
    for name in ("scared_seq", "endonerf", "jhu_sinus"):
        bag = tmp_path / name
        run_command("convert", shared / "data" / name, bag, "--frames", "10")
        clip = First(open_sequence(shared / "data" / name, start=SECOND), 10)
        assert_same(clip, BagSequence(bag))
        assert BagSequence(bag).camera == clip.camera


class First(Sequence):
    """The first frames of a sequence."""

    def __init__(self, sequence: Sequence, count: int) -> None:
        self._sequence, self._count = sequence, count
        for name in ("name", "fps", "camera", "stereo", "poses_metric"):
            setattr(self, name, getattr(sequence, name))
        for name in ("reference_depth", "reference_pose", "mask", "instances", "ignore"):
            setattr(self, name, getattr(sequence, name))
        self.mask_valid = sequence.mask_valid

    def __len__(self):
        return self._count

    def __iter__(self):
        return (self._sequence[i] for i in range(self._count))


class Labelled(Sequence):
    """One eye with two tools, an area that must not be scored, bad masks, and no scale."""

    name, fps, poses_metric = "labelled", 15.0, False
    camera = PinholeCamera(80, 64, 70.0, 71.0, 39.0, 31.0, (0.1, 0.0, 0.0, 0.0, 0.2))

    def __len__(self):
        return 4

    def __iter__(self):
        for i in range(4):
            stamp = stamp_of(self.number(i) - 7, self.fps)
            yield Frame(stamp, np.full((64, 80, 3), 10 * i, np.uint8), "eye", self.camera)

    def number(self, i):
        return (7, 8, 10, 11)[i]  # the gap must stay in the stamps

    def reference_pose(self, i):
        return se3.from_vectors(np.array([0.1 * i, 0.2, -0.3]), np.array([i / 3, 1e3, -1e-3]))

    def mask(self, i):
        return None if i == 2 else self.instances(i) > 0

    def instances(self, i):
        labels = np.zeros((64, 80), np.uint8)
        labels[10:20, 5 + i : 30] = 1
        labels[40:, 50:] = 2
        return None if i == 2 else labels

    def ignore(self, i):
        return np.arange(80) < 4 + np.zeros((64, 1)) if i == 0 else None

    def mask_valid(self, i):
        return i == 0


def copied(folder: Path, target: Path) -> Path:
    shutil.copytree(folder, target)
    return target
