"""Which topic of a bag is what: rigs as they name things, listed and silent topics, calibration."""

import numpy as np
import pytest
from recorded import STORE
from rosbags.rosbag2 import StoragePlugin, Writer

from endosfm3d_ros.datasets.bags.sequence import BagSequence
from endosfm3d_ros.datasets.open import SourceOptions, open_sequence
from endosfm3d_ros.errors import ConfigurationError, InputError

MS = 1_000_000
RIGHT_P = np.array([50.0, 0, 20, -0.25, 0, 50.0, 15, 0, 0, 0, 1, 0])


def said(sequence, text):
    return any(text in str(entry) for entry in sequence.report.entries)


def rig(maker, pictures, images, infos, frames=6):
    """A dVRK rig: image and camera_info topics with {} for the eye."""
    for i in range(frames):
        for at, eye in enumerate(("left", "right")):
            P = {"p": RIGHT_P} if eye == "right" else {}
            maker.info(infos.format(eye), i * 33 * MS, (40, 30), **P)
            maker.image(images.format(eye), i * 33 * MS, pictures[6 * at + i])
    return maker


@pytest.mark.parametrize(
    ("images", "infos"),
    [
        # decklink_stereo_*.launch.py of dvrk_video
        ("/jhu_daVinci/{}/image_raw", "/jhu_daVinci/{}/camera_info"),
        # its launch files with a camera node below the eye
        ("/jhu_daVinci/{}/camera/image_raw", "/jhu_daVinci/{}/camera/camera_info"),
        # image_raw is remapped, camera_info is not
        ("/jhu_daVinci/{}/image_raw", "/jhu_daVinci/{}/camera/camera_info"),
        (
            "/jhu_daVinci/{}/decklink/camera/image_raw",
            "/jhu_daVinci/{}/decklink/camera/camera_info",
        ),
        ("/jhu_dVRK_{}/image_raw", "/jhu_dVRK_{}/camera_info"),
        ("/hospital/or3/endoscope/{}/image_raw", "/hospital/or3/endoscope/{}/camera_info"),
    ],
)
def test_rigs_as_their_launch_files_name_them(maker, pictures, tmp_path, images, infos):
    sequence = open_sequence(rig(maker, pictures, images, infos).write(tmp_path / "bag"))
    assert sequence.topics.left == images.format("left")
    assert sequence.topics.right == images.format("right")
    assert sequence.stereo.baseline == pytest.approx(0.005) and len(sequence) == 6


def test_several_rigs_have_to_be_told_apart(maker, pictures, tmp_path):
    for name in ("/a", "/b"):
        rig(maker, pictures, f"{name}/{{}}/image_raw", f"{name}/{{}}/camera_info")
    bag = maker.write(tmp_path / "bag")
    with pytest.raises(InputError, match="/a/left/image_raw, /b/left/image_raw: those of several"):
        open_sequence(bag)
    sequence = open_sequence(bag, options=SourceOptions(left="/b/left/image_raw"))
    assert (sequence.topics.right, sequence.topics.left_info) == (
        "/b/right/image_raw",
        "/b/left/camera_info",
    )


def test_two_cameras_without_left_are_named_by_an_option(maker, pictures, tmp_path):
    for k in (1, 2):
        maker.image(f"/camera{k}/image_raw", 0, pictures[k])
        maker.image(f"/camera{k}/image_raw", 33 * MS, pictures[k])
    bag = maker.write(tmp_path / "bag")
    with pytest.raises(InputError, match=r"one has to be named \(--input left=TOPIC"):
        open_sequence(bag)
    options = SourceOptions(left="/camera2/image_raw", right="/camera1/image_raw")
    frame = next(iter(open_sequence(bag, options=options)))
    np.testing.assert_array_equal(frame.image, pictures[2])
    np.testing.assert_array_equal(frame.right_image, pictures[1])
    with pytest.raises(ConfigurationError, match=r"--input split=test: .* is a ROS 2 bag"):
        open_sequence(bag, options=SourceOptions(split="test"))


def test_a_topic_without_messages_is_not_chosen(maker, pictures, tmp_path):
    """`ros2 bag record -a` lists what never sent anything."""
    maker.silent = {
        "/cam/left/image_raw": "sensor_msgs/msg/Image",
        "/cam/right/image_raw": "sensor_msgs/msg/Image",
    }
    maker.compressed("/cam/left/image_raw/compressed", 0, pictures[0])
    bag = maker.write(tmp_path / "bag")
    sequence = open_sequence(bag)
    assert sequence.topics.left == "/cam/left/image_raw/compressed"
    assert sequence.topics.right is None
    assert said(sequence, "/cam/right/image_raw: listed, but without messages: one eye")
    with pytest.raises(InputError, match="is listed, but has no messages"):
        open_sequence(bag, options=SourceOptions(right="/cam/right/image_raw"))


def test_a_bag_of_silent_topics_says_so(maker, tmp_path):
    maker.silent = {"/cam/left/image_raw": "sensor_msgs/msg/Image"}
    maker.pose("/pose", 0, (0.0, 0.0, 0.0))
    with pytest.raises(InputError, match="without a message: /cam/left/image_raw"):
        open_sequence(maker.write(tmp_path / "bag"))


def test_the_first_calibrated_camera_info_counts(maker, pictures, tmp_path):
    """Drivers send zeros until they have loaded theirs."""
    for i in range(3):
        K = {} if i else {"k": np.zeros(9), "p": np.zeros(12), "width": 0, "height": 0}
        maker.info("/left/camera_info", i * 33 * MS, (40, 30), **K)
        maker.image("/left/image_raw", i * 33 * MS, pictures[i])
    assert open_sequence(maker.write(tmp_path / "bag")).camera.fx == 50.0


def test_a_calibration_that_changes_is_said(maker, pictures, tmp_path):
    for i, fx in enumerate((50.0, 50.0, 60.0)):
        K = np.array([fx, 0, 20, 0, 51.0, 15, 0, 0, 1])
        maker.info("/left/camera_info", i * 33 * MS, (40, 30), k=K)
        maker.image("/left/image_raw", i * 33 * MS, pictures[i])
    sequence = open_sequence(maker.write(tmp_path / "bag"))
    assert sequence.camera.fx == 50.0 and said(sequence, "fx 50.00 to 60.00 px")


@pytest.mark.parametrize("kind", ["pose", "transform"])
def test_robot_poses_of_either_type_are_used_when_named(maker, pictures, tmp_path, kind):
    """CRTK's measured_cp was a TransformStamped until 2023, and is a PoseStamped since."""
    topic = "/ECM/measured_cp"
    for i in range(3):
        maker.image("/left/image_raw", i * 33 * MS, pictures[i])
        if kind == "pose":
            maker.pose(topic, i * 33 * MS + MS, (0.01 * i, 0.0, 0.0))
        else:
            maker.transform_stamped(topic, i * 33 * MS + MS, 0.01 * i)
    bag = maker.write(tmp_path / "bag")
    plain = open_sequence(bag)
    assert plain.reference_pose(2) is None and said(plain, f"--input poses={topic}")
    named = open_sequence(bag, options=SourceOptions(poses=topic))
    assert named.reference_pose(2)[0, 3] == pytest.approx(0.02)
    with pytest.raises(InputError, match="'/left/image_raw' for poses is of sensor_msgs"):
        open_sequence(bag, options=SourceOptions(poses="/left/image_raw"))


def test_eyes_stamped_apart_are_never_of_two_moments(maker, pictures, tmp_path):
    for i in range(8):
        maker.image("/left/image_raw", i * 33_333_333, pictures[i])
        maker.image("/right/image_raw", i * 33_333_333 + 20 * MS, pictures[i])
    with pytest.raises(InputError, match=r"-13.3 or \+20.0 ms .* at 33.3 ms a frame"):
        open_sequence(maker.write(tmp_path / "bag"))
    for _, content, _ in maker.rows[1::2]:
        content.header.stamp.nanosec -= 15 * MS
    sequence = open_sequence(maker.write(tmp_path / "near"))
    assert len(sequence) == 8 and said(sequence, "stamped +5.0 ms from the left images")
    for frame in sequence:
        np.testing.assert_array_equal(frame.image, frame.right_image)


def test_references_may_be_compressed(maker, pictures, tmp_path):
    labels = np.zeros((30, 40), np.uint8)
    labels[3:9, 5:20] = 2
    maker.image("/left/image_raw", 0, pictures[0])
    maker.compressed("/left/tool_mask/compressed", 0, labels)
    maker.compressed("/left/image_raw/compressedDepth", 0, labels)  # advertised by every driver
    sequence = open_sequence(maker.write(tmp_path / "bag"))
    assert sequence.topics.left == "/left/image_raw"
    np.testing.assert_array_equal(sequence.mask(0), labels > 0)


# --- both eyes in one picture ----------------------------------------------------------------


def scene(shift=0):
    """(120, 160, 3) of fine structure, moved by a disparity."""
    rng = np.random.default_rng(5)
    small = rng.integers(0, 256, (60, 90), np.uint8)
    grey = np.kron(small, np.ones((2, 2), np.uint8))[:, shift : shift + 160]
    return np.repeat(grey[..., None], 3, axis=-1)


def one_picture(maker, layout):
    for i in range(3):
        pair = (scene(), scene(6))
        picture = np.hstack(pair) if layout == "side_by_side" else np.vstack(pair)
        maker.image("/stereo/image_raw", i * 33 * MS, picture)
        maker.info("/stereo/left/camera_info", i * 33 * MS, (160, 120), k=K160, p=P160)
        maker.info("/stereo/right/camera_info", i * 33 * MS, (160, 120), k=K160, p=P160_RIGHT)
    return maker


K160 = np.array([150.0, 0, 80, 0, 150.0, 60, 0, 0, 1])
P160 = np.array([150.0, 0, 80, 0, 0, 150.0, 60, 0, 0, 0, 1, 0])
P160_RIGHT = P160 + np.array([0, 0, 0, -0.75] + [0] * 8)


@pytest.mark.parametrize("layout", ["side_by_side", "top_bottom"])
def test_both_eyes_in_one_picture_are_noticed_and_split(maker, tmp_path, layout):
    bag = one_picture(maker, layout).write(tmp_path / "bag")
    with pytest.raises(InputError, match=f"--input image_layout={layout} "):
        open_sequence(bag)
    sequence = open_sequence(bag, options=SourceOptions(image_layout=layout))
    frame = next(iter(sequence))
    np.testing.assert_array_equal(frame.image, scene())
    np.testing.assert_array_equal(frame.right_image, scene(6))
    assert sequence.stereo.baseline == pytest.approx(0.005) and frame.camera.size == (160, 120)
    crossed = BagSequence(bag, image_layout=f"{layout}_crossed")
    np.testing.assert_array_equal(next(iter(crossed)).image, scene(6))


def test_one_eye_may_be_insisted_on(maker, tmp_path):
    for i in range(2):
        maker.image("/cam/image_raw", i * 33 * MS, np.hstack([scene(), scene(6)]))
    bag = maker.write(tmp_path / "bag")
    sequence = open_sequence(bag, options=SourceOptions(image_layout="single"))
    assert next(iter(sequence)).image.shape == (120, 320, 3)
    with pytest.raises(ConfigurationError, match="accepted are single, side_by_side"):
        open_sequence(bag, options=SourceOptions(image_layout="left-right"))


def test_a_masks_of_both_eyes_is_split_like_the_picture(maker, tmp_path):
    labels = np.zeros((120, 320), np.uint8)
    labels[:, :10] = 1
    one_picture(maker, "side_by_side")
    maker.image("/stereo/tool_mask", 0, labels, "mono8")
    sequence = BagSequence(maker.write(tmp_path / "bag"), image_layout="side_by_side")
    assert sequence.mask(0).shape == (120, 160) and sequence.mask(0).sum() == 1200


def test_a_name_that_stands_for_two_message_types_is_two_topics(maker, pictures, tmp_path):
    """Raw and compressed images published under one name: MCAP keeps both."""
    path = tmp_path / "bag"
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        kinds = ("sensor_msgs/msg/CompressedImage", "sensor_msgs/msg/Image")
        connections = [
            writer.add_connection("/left/image_raw", kind, typestore=STORE) for kind in kinds
        ]
        for i in range(3):
            maker.compressed("/left/image_raw", i + 1, pictures[i])
            maker.image("/left/image_raw", i + 1, pictures[i])
            for connection, (_, content, _) in zip(connections, maker.rows[-2:]):
                data = STORE.serialize_cdr(content, content.__msgtype__)
                writer.write(connection, i + 1, data)
    sequence = open_sequence(path)
    for frame, picture in zip(sequence, pictures[:3], strict=True):
        np.testing.assert_array_equal(frame.image, picture)
    assert not said(sequence, "damaged")
    named = SourceOptions(left="/left/image_raw")
    assert len(open_sequence(path, options=named)) == 3


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("/l/left/image_rect", "/l/right/image_raw", "/l/left/camera_info", ""),
         "not taken as the right eye of /l/left/image_rect"),
        (("/left/image_raw", "/right/image_raw", "/left/camera_info", ""),
         "/right/image_raw: without calibration: no metres from this pair"),
        (("/left/image_raw", "/right/image_raw", "/left/camera_info", "/calibration"),
         "/right/image_raw: without calibration; there is one on /calibration"),
    ],
    ids=["one rectified", "no info", "an info elsewhere"],
)  # fmt: skip
def test_what_keeps_a_recording_from_being_a_pair_is_said(maker, pictures, tmp_path, names, words):
    left, right, left_info, right_info = names
    for i in range(3):
        stamp = (i + 1) * 10**8
        maker.info(left_info, stamp, (40, 30))
        if right_info:
            maker.info(right_info, stamp, (40, 30))
        maker.image(left, stamp, pictures[i])
        maker.image(right, stamp, pictures[6 + i])
    sequence = open_sequence(maker.write(tmp_path / "bag"))
    assert sequence.stereo is None
    assert said(sequence, words)


def test_calibrations_in_one_folder_are_told_apart_by_their_eyes(maker, pictures, tmp_path):
    bag = rig(maker, pictures, "/stereo/{}_image", "/stereo/{}_info").write(tmp_path / "bag")
    sequence = open_sequence(bag)
    assert sequence.topics.infos == ("/stereo/left_info", "/stereo/right_info")
    assert sequence.stereo.baseline == pytest.approx(0.005)


def test_depth_that_nobody_named_is_said_and_a_lone_right_eye_is_asked_for(
    maker, pictures, tmp_path
):
    for i in range(3):
        maker.image("/left/image_raw", (i + 1) * 10**8, pictures[i])
        depth = np.full((30, 40), 40, np.uint16)
        maker.image("/left/depth", (i + 1) * 10**8, depth, "16UC1")
    sequence = open_sequence(maker.write(tmp_path / "bag"))
    assert sequence.reference_depth(0) is None
    assert said(sequence, "--input depth=/left/depth")
    lone = type(maker)()
    lone.image("/right/image_raw", 10**8, pictures[0])
    with pytest.raises(InputError, match="all are called right, so one has to be named"):
        open_sequence(lone.write(tmp_path / "lone"))


def test_images_of_two_cameras_under_one_name_are_said(maker, pictures, tmp_path):
    for i in range(4):
        maker.image("/left/image_raw", (i + 1) * 10**8, pictures[i])
        maker.rows[-1][1].header.frame_id = "ab"[i % 2]
    sequence = open_sequence(maker.write(tmp_path / "bag"))
    assert said(sequence, "2 frame_ids (a, b) are mixed")
