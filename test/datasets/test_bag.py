"""Bags of any storage and naming; damage of every kind is one sentence."""

import shutil
import tracemalloc

import numpy as np
import pytest
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from endosfm3d_ros.datasets.bags.sequence import BagSequence
from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.errors import InputError

MS = 1_000_000


def depth_of(value):
    return np.full((30, 40), value, np.float32)


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_a_stereo_bag_keeps_every_pixel_and_stamp(stereo_bag, pictures, tmp_path, storage):
    folder = stereo_bag.write(tmp_path / "bag", storage)
    for path in (folder, next(folder.glob("bag.*"))):
        sequence = open_sequence(path)
        frames = list(sequence)
        assert len(frames) == len(sequence) == 6
        assert (sequence.name, sequence.fps, sequence.skipped) == ("bag", 10.0, 0)
        for i, frame in enumerate(frames):
            assert frame.stamp == (10 + i) * 100 * MS and frame.frame_id == "left_optical"
            np.testing.assert_array_equal(frame.image, pictures[i])
            np.testing.assert_array_equal(frame.right_image, pictures[6 + i])
            assert frame.camera == sequence.camera and frame.stereo is sequence.stereo
        assert sequence.camera.fy == 51.0
        assert sequence.stereo.baseline == pytest.approx(0.005)


@pytest.mark.parametrize(
    ("storage", "compression"),
    [
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
        (StoragePlugin.MCAP, CompressionMode.MESSAGE),
        (StoragePlugin.SQLITE3, CompressionMode.MESSAGE),
        (StoragePlugin.SQLITE3, CompressionMode.FILE),
    ],
)
def test_compressed_bags_are_read(stereo_bag, pictures, tmp_path, storage, compression):
    sequence = open_sequence(stereo_bag.write(tmp_path / "bag", storage, compression))
    assert len(sequence) == 6
    assert_frames_equal(sequence, pictures)


def test_a_pipelines_own_pictures_are_no_input(maker, pictures, tmp_path):
    """A bag into which the outputs were recorded too."""
    maker.image("/camera/image_raw", 0, pictures[0])
    for name in ("/endosfm3d/tissue/image", "/endosfm3d/depth/confidence"):
        maker.image(name, 0, pictures[1])
    maker.info("/endosfm3d/camera_info", 0, (40, 30))
    sequence = BagSequence(maker.write(tmp_path / "bag"))
    assert sequence.topics.left == "/camera/image_raw" and sequence.camera is None


def test_compressed_images_and_other_names(maker, pictures, tmp_path):
    for i in range(3):
        maker.compressed("/stereo/left/image/compressed", i * 40 * MS, pictures[i])
        maker.image("/stereo/debug/depth/image", i * 40 * MS, depth_of(0.05), "32FC1")
    sequence = BagSequence(maker.write(tmp_path / "bag"))
    images = [frame.image for frame in sequence]
    np.testing.assert_array_equal(images, pictures[:3])
    assert sequence.fps == 25.0 and sequence.camera is None
    assert sequence.reference_depth(0) is None  # an estimate, not a reference


def test_raw_goes_before_compressed_and_rectified(maker, pictures, tmp_path):
    for name in ("image_rect", "image_raw"):
        maker.image(f"/left/{name}", 0, pictures[0])
    maker.compressed("/left/image_raw/compressed", 0, pictures[0])
    topics = BagSequence(maker.write(tmp_path / "bag")).topics
    assert (topics.left, topics.right) == ("/left/image_raw", None)


def test_a_rectified_image_has_the_camera_of_P(maker, pictures, tmp_path):
    maker.image("/left/image_rect", 0, pictures[0])
    maker.info(
        "/left/camera_info", 0, (40, 30), d=np.full(5, 0.1), r=np.diag([-1.0, -1.0, 1.0]).ravel()
    )
    camera = BagSequence(maker.write(tmp_path / "bag")).camera
    assert (camera.fy, camera.distortion) == (50.0, ())


def test_topics_can_be_named(maker, pictures, tmp_path):
    for i, name in enumerate(("/a/image", "/b/image")):
        maker.image(name, 0, pictures[i])
    maker.image("/b/z", 0, depth_of(0.07), "32FC1")
    bag = maker.write(tmp_path / "bag")
    with pytest.raises(InputError, match="/a/image, /b/image: none is called left"):
        BagSequence(bag)
    with pytest.raises(InputError, match="no topic '/c' for right: the bag has /a/image"):
        BagSequence(bag, left="/a/image", right="/c")
    sequence = BagSequence(bag, left="/b/image", right="/a/image", depth="/b/z")
    np.testing.assert_array_equal(next(iter(sequence)).right_image, pictures[0])
    np.testing.assert_array_equal(sequence.reference_depth(0), depth_of(0.07))
    assert BagSequence(bag, left="/b/image", right="").topics.right is None


def test_eyes_are_matched_by_stamp_not_by_order(maker, pictures, tmp_path):
    rights = {0: 3 * MS, 1: 100 * MS, 3: 300 * MS - 15 * MS, 4: 400 * MS + 17 * MS}
    for i in range(5):
        maker.image("/left/image_raw", i * 100 * MS, pictures[i])
    maker.image("/left/image_raw", 100 * MS, pictures[5])  # late
    for i, stamp in rights.items():
        maker.image("/right/image_raw", stamp, pictures[6 + i])
    sequence = BagSequence(maker.write(tmp_path / "bag"))
    pairs = [(frame.image, frame.right_image) for frame in sequence]
    assert len(pairs) == len(sequence) == 3 and sequence.skipped == 3
    for (left, right), i in zip(pairs, (0, 1, 3)):
        np.testing.assert_array_equal(left, pictures[i])
        np.testing.assert_array_equal(right, pictures[6 + i])


def test_log_times_need_not_be_stamps(maker, pictures, tmp_path):
    """A recorder's clock may be anything; references are found by stamp."""
    for i in range(4):
        maker.image("/left/image_raw", i * 100 * MS, pictures[i])
        maker.image("/reference/depth", i * 100 * MS, depth_of(0.05 + 0.01 * i), "32FC1")
    maker.rows = [(topic, content, 777) for topic, content, _ in maker.rows]
    sequence = BagSequence(maker.write(tmp_path / "bag"))
    assert [frame.stamp for frame in sequence] == [0, 100 * MS, 200 * MS, 300 * MS]
    assert [float(sequence.reference_depth(i)[0, 0]) for i in (3, 0)] == pytest.approx([0.08, 0.05])


def test_poses_masks_and_depth_are_found_by_stamp(maker, pictures, tmp_path):
    labels = np.zeros((30, 40), np.uint8)
    labels[:, 5:9] = 1
    labels[:, 20:22] = 2
    for i in range(3):
        maker.image("/left/image_raw", i * 100 * MS, pictures[i])
        maker.pose("/ground_truth/pose", i * 100 * MS, (0.01 * i, 0.0, 0.0))
    maker.image("/left/tool_mask", 100 * MS, labels, "mono8")
    maker.image("/gt/depth", 200 * MS, np.full((30, 40), 55, np.uint16), "16UC1")
    sequence = BagSequence(maker.write(tmp_path / "bag"))
    assert sequence.reference_pose(2)[0, 3] == 0.02 and sequence.poses_metric
    assert sequence.mask(0) is None and not sequence.mask_valid(0)
    np.testing.assert_array_equal(sequence.mask(1), labels > 0)
    np.testing.assert_array_equal(sequence.instances(1), labels)
    assert sequence.reference_depth(0) is None
    np.testing.assert_allclose(sequence.reference_depth(2), 0.055, rtol=1e-6)


def test_only_transforms_that_say_so_are_references(maker, pictures, tmp_path):
    maker.image("/left/image_raw", 0, pictures[0])
    maker.image("/left/image_raw", 100 * MS, pictures[1])
    maker.transform(0, "endoscope_map", "endoscope_odom", 1.0)  # an estimate
    maker.transform(100 * MS, "reference_world", "reference_camera", 2.0)
    maker.transform(100 * MS, "base", "tool", 3.0)
    sequence = BagSequence(maker.write(tmp_path / "bag"))
    assert sequence.reference_pose(0) is None
    assert sequence.reference_pose(1)[0, 3] == 2.0


def test_a_pose_that_is_none_is_one_sentence(maker, pictures, tmp_path):
    maker.image("/left/image_raw", 0, pictures[0])
    maker.pose("/reference/pose", 0, (float("nan"), 0.0, 0.0))
    with pytest.raises(InputError, match=r"reference pose .*nan.*finite values"):
        BagSequence(maker.write(tmp_path / "bag"))


def test_labels_of_one_value_are_no_instances(maker, pictures, tmp_path):
    maker.image("/left/image_raw", 0, pictures[0])
    maker.image("/left/tool_mask", 0, np.eye(30, 40, dtype=np.uint8) * 255, "mono8")
    sequence = BagSequence(maker.write(tmp_path / "bag"))
    assert sequence.instances(0) is None and sequence.mask(0).sum() == 30


def test_uncalibrated_is_no_camera(maker, pictures, tmp_path):
    """sensor_msgs/CameraInfo: K[0] = 0 means uncalibrated."""
    for side in ("left", "right"):
        maker.info(f"/{side}/camera_info", 0, (40, 30), k=np.zeros(9))
        maker.image(f"/{side}/image_raw", 0, pictures[0])
    sequence = BagSequence(maker.write(tmp_path / "bag"))
    assert sequence.camera is None and sequence.stereo is None
    assert next(iter(sequence)).right_image is not None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"k": np.full(9, np.nan)}, "K .*nan.*: all values must be finite"),
        ({"width": 0}, "camera_info size 0x30"),
        ({"width": 64}, "64x30 for an image of 40x30: the aspect ratios must agree"),
        ({"distortion_model": "division"}, "'division': accepted are plumb_bob"),
    ],
)
def test_a_wrong_calibration_is_one_sentence(maker, pictures, tmp_path, changes, sentence):
    maker.info("/left/camera_info", 0, (40, 30), **changes)
    maker.image("/left/image_raw", 0, pictures[0])
    with pytest.raises(InputError, match=f"bag: .*{sentence}"):
        BagSequence(maker.write(tmp_path / "bag"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"height": 0, "width": 0}, "image size 0x0"),
        ({"step": 3}, "image step 3 bytes"),
        ({"data": np.zeros(9, np.uint8)}, "image data of 9 bytes"),
        ({"encoding": "32FC7"}, "'32FC7': accepted are rgb8"),
    ],
)
def test_a_wrong_image_is_one_sentence(maker, pictures, tmp_path, changes, sentence):
    maker.image("/left/image_raw", 0, pictures[0], **changes)
    with pytest.raises(InputError, match=f"/left/image_raw: .*{sentence}"):
        BagSequence(maker.write(tmp_path / "bag"))


def test_a_change_of_size_is_refused(maker, pictures, tmp_path):
    maker.image("/left/image_raw", 0, pictures[0])
    maker.image("/left/image_raw", 100 * MS, pictures[1][:, :32])
    frames = iter(BagSequence(maker.write(tmp_path / "bag")))
    next(frames)
    with pytest.raises(InputError, match="image of 32x30, but the first one is 40x30"):
        next(frames)


def test_a_bag_without_images_says_what_it_has(maker, tmp_path):
    maker.pose("/pose", 0, (0.0, 0.0, 0.0))
    with pytest.raises(InputError, match="no image topic: the bag has /pose"):
        BagSequence(maker.write(tmp_path / "bag"))


def test_eyes_that_never_meet_are_one_sentence(maker, pictures, tmp_path):
    maker.image("/left/image_raw", 0, pictures[0])
    maker.image("/right/image_raw", 10**9, pictures[0])
    with pytest.raises(InputError, match="no image in /left/image_raw with one in /right/image"):
        BagSequence(maker.write(tmp_path / "bag"))


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_of_a_cut_file_what_is_whole_is_read_and_the_loss_is_said(
    stereo_bag, pictures, tmp_path, storage
):
    bag = stereo_bag.write(tmp_path / "bag", storage)
    file = next(bag.glob("bag.*"))
    whole, lengths = file.read_bytes(), []
    for share in np.linspace(0, 0.999, 23):
        file.write_bytes(whole[: int(share * len(whole))])
        try:
            sequence = BagSequence(bag, right="")
        except InputError as error:
            assert "cut off or damaged" in str(error)
            continue
        lengths.append(len(sequence))
        said = any("cut off or damaged" in str(entry) for entry in sequence.report.entries)
        assert said or lengths[-1] == 6  # only the summary behind the messages is cut
        for frame in sequence:
            np.testing.assert_array_equal(frame.image, pictures[frame.stamp // (100 * MS) - 10])
    assert lengths == sorted(lengths) and lengths[0] < 3 and lengths[-1] >= 5


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_overwritten_bytes_give_a_sentence(stereo_bag, pictures, tmp_path, storage):
    """2 kB of the file are lost: where the pictures do not show it, an error does."""
    bag = stereo_bag.write(tmp_path / "bag", storage)
    file = next(bag.glob("bag.*"))
    whole = file.read_bytes()
    rng = np.random.default_rng(0)
    for at in range(0, len(whole) - 2048, 4096):
        file.write_bytes(whole[:at] + rng.bytes(2048) + whole[at + 2048 :])
        try:
            frames = list(BagSequence(bag))
        except InputError as error:
            assert len(str(error).splitlines()) == 1
        else:
            assert all(frame.image.shape == (30, 40, 3) for frame in frames)


def test_messages_that_are_missing_are_noticed(stereo_bag, tmp_path):
    """metadata.yaml of a longer recording beside a shorter, sound file."""
    long = stereo_bag.write(tmp_path / "long")
    stereo_bag.rows = stereo_bag.rows[:12]
    short = stereo_bag.write(tmp_path / "short")
    shutil.copy(short / "short.mcap", long / "long.mcap")
    sequence = BagSequence(long)
    assert len(sequence) == 3
    assert any("image_raw: 3 of 6 messages are there" in str(e) for e in sequence.report.entries)


@pytest.mark.parametrize("name", ["empty.mcap", "text.db3", "folder"])
def test_what_is_no_bag_is_one_sentence(tmp_path, name):
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
        (path / "metadata.yaml").write_text("rosbag2_bagfile_information: {version: 9}\n")
    else:
        path.write_text("hello" * 300 if name == "text.db3" else "")
    with pytest.raises(InputError, match=f"{name} is no bag, or cut off or damaged: .") as caught:
        open_sequence(path)
    assert len(str(caught.value).splitlines()) == 1


def test_memory_does_not_grow_with_the_bag(maker, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    for i in range(80):
        maker.image("/left/image_raw", i * 33 * MS, picture)
        maker.image("/right/image_raw", i * 33 * MS, picture)
    bag = maker.write(tmp_path / "bag")
    maker.rows.clear()
    tracemalloc.start()
    try:
        assert sum(1 for _ in BagSequence(bag)) == 80
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12e6  # of 37 MB: two chunks of 1 MB per stream, as stored and unpacked


def assert_frames_equal(sequence, pictures):
    for i, frame in enumerate(sequence):
        np.testing.assert_array_equal(frame.image, pictures[i])
        np.testing.assert_array_equal(frame.right_image, pictures[6 + i])
