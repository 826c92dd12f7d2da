"""What goes wrong in an operating theatre, and what must hold then. The real node over DDS."""

from __future__ import annotations

import numpy as np
import pytest
from node_harness import LEFT, STEREO_TOPICS, Probe
from rclpy.parameter import Parameter
from sensor_msgs.msg import CameraInfo, Image

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.nodes.messages.conversions import byte_array, header, image_message, matrix_of
from endosfm3d_ros.nodes.node.pipeline_node import PipelineNode

START = 100 * 10**9
SECOND = 10**9


@pytest.fixture(scope="module")
def clip() -> list:
    return list(SimulatedSequence("moving", frames=12, width=320, height=256, start=START))


@pytest.fixture(scope="module")
def image(clip) -> np.ndarray:
    return clip[0].image


def rejected(probe: Probe) -> int:
    return probe.messages["status"][-1].frames_rejected if probe.messages["status"] else 0


def test_a_stalled_camera_is_a_warning_then_an_error_and_recovers(start_node, probe, image):
    """Row 1."""
    process = start_node()
    probe.connect("image_raw")
    for i in range(3):
        probe.send_image(image, START + i)
        assert probe.answered(START + i)
    count = len(probe.messages["depth/image"])

    def level_of_stale() -> set[int]:
        return {m.level for m in probe.messages["status"] if "stale" in m.message}

    assert probe.wait(lambda: 1 in level_of_stale())
    assert probe.wait(lambda: 2 in level_of_stale())
    assert len(probe.messages["depth/image"]) == count  # nothing is sent again
    for level in ("[WARN]", "[ERROR]"):
        assert any(level in line and "stale" in line for line in process.log.splitlines())
    heard = len(probe.messages["status"])
    probe.send_image(image, START + 9)
    assert probe.answered(START + 9)
    # One image is stale again soon: that it was not at some time since is what can be asked for.
    assert probe.wait(
        lambda: any("stale" not in m.message for m in probe.messages["status"][heard:])
    )


def test_without_any_image_one_warning_names_topic_type_and_reliability(start_node, probe):
    """Row 2."""
    process = start_node()
    assert probe.wait(lambda: "no image for" in process.log, 30.0)
    line = next(line for line in process.log.splitlines() if "no image for" in line)
    assert "/image_raw" in line
    assert "sensor_msgs/msg/Image" in line
    assert "publishers: none" in line
    probe.spin(1.5)
    assert process.log.count("no image for") == 1


@pytest.mark.parametrize("reliable", [True, False])
def test_the_subscription_adapts_to_what_the_camera_offers(start_node, probe, image, reliable):
    process = start_node()
    probe.connect("image_raw", reliable=reliable)
    probe.send_image(image[:64, :80], START)
    assert probe.answered(START)
    assert ("RELIABLE" if reliable else "BEST_EFFORT") in process.log


def test_malformed_images_are_counted_and_nothing_breaks(start_node, probe, image):
    """Rows 4 and 5."""
    process = start_node()
    probe.connect("image_raw")
    publish = probe.publisher("image_raw", Image).publish

    def broken(**changes: object) -> Image:
        message = image_message(image, "rgb8", START, LEFT)
        for name, value in changes.items():
            setattr(message, name, value)
        return message

    short = byte_array(image[:-1])
    for message in (
        broken(data=short),
        broken(step=7),
        broken(width=0),
        broken(height=0, data=byte_array(image[:0])),
        broken(encoding="p010"),
        broken(encoding="p010"),
        broken(encoding="32FC1"),
    ):
        publish(message)
        probe.spin(0.15)
    assert probe.wait(lambda: rejected(probe) == 7)
    assert process.log.count("rejected: image encoding 'p010'") == 1  # with what is accepted
    line = next(line for line in process.log.splitlines() if "p010" in line)
    assert all(name in line for name in ("rgb8", "bgr8", "mono8", "bgra8"))
    probe.send_image(image, START)
    assert probe.answered(START)


@pytest.mark.parametrize(
    "encoding,channels", [("bgr8", 3), ("rgb8", 3), ("mono8", 1), ("bgra8", 4), ("rgba8", 4)]
)
def test_encodings(start_node, probe, image, encoding, channels):
    """Row 5."""
    start_node()
    probe.connect("image_raw")
    small = image[:64, :80]
    pixels = small[..., :1] if channels == 1 else np.pad(small, ((0, 0), (0, 0), (0, channels - 3)))
    message = Image(header=header(START, LEFT), height=64, width=80, encoding=encoding)
    message.step = 80 * channels
    message.data = byte_array(np.ascontiguousarray(pixels))
    probe.publisher("image_raw", Image).publish(message)
    assert probe.answered(START)


def test_the_image_size_may_change_in_mid_stream(start_node, probe, clip):
    """Row 6: calibration is scaled along, no old buffer is used."""
    start_node()
    probe.connect(*STEREO_TOPICS)
    small = SimulatedSequence("moving", frames=4, width=160, height=128, start=START + SECOND)
    for frame in [*clip[:3], *small]:
        probe.send_stereo(frame)
        assert probe.answered(frame.stamp)
        assert probe.messages["depth/image"][-1].width == frame.image.shape[1]
    assert probe.messages["depth/camera_info"][-1].k[0] == pytest.approx(small.camera.fx)
    depth = np.frombuffer(probe.messages["depth/image"][-1].data, np.float32).reshape(128, 160)
    assert np.nanmedian(np.abs(depth / small.reference_depth(3) - 1)) < 0.01


def test_calibration_that_is_absent_or_unusable(start_node, probe, image, clip):
    """Row 7: K[0] = 0 means none, NaN is refused; the self-estimated camera is used and said."""
    process = start_node(intrinsics_mode="prior")
    probe.connect("camera_info", "image_raw")
    default = pytest.approx(0.82 * 320)
    probe.publisher("camera_info", CameraInfo).publish(CameraInfo(width=320, height=256))
    probe.send_image(image, START)
    assert probe.answered(START)
    assert probe.messages["camera_info"][-1].k[0] == default
    wrong = CameraInfo(width=320, height=256, k=np.full(9, np.nan))
    probe.publisher("camera_info", CameraInfo).publish(wrong)
    probe.spin(0.2)
    probe.send_image(image, START + 1)
    assert probe.answered(START + 1)
    assert probe.messages["camera_info"][-1].k[0] == default
    assert probe.wait(lambda: "/camera_info: K [nan" in process.log)
    probe.send_info(clip[0].camera, START + 2)
    probe.spin(0.2)
    probe.send_image(image, START + 2)
    assert probe.answered(START + 2)
    assert probe.messages["camera_info"][-1].k[0] == pytest.approx(clip[0].camera.fx)


@pytest.mark.parametrize("grey", [0, 255])
def test_an_image_without_content_holds_the_pose_and_loses_confidence(
    start_node, probe, clip, grey
):
    """Row 9."""
    start_node()
    probe.connect(*STEREO_TOPICS)
    for frame in clip[:4]:
        probe.send_stereo(frame)
        assert probe.answered(frame.stamp)
    before = probe.messages["odometry"][-1]
    blank = SimulatedSequence("moving", frames=1, width=320, height=256)[0]
    pair = clip[5]
    probe.send_info(pair.stereo.left, pair.stamp, pair.stereo.P_left)
    for topic in ("right/image_raw", "image_raw"):
        probe.send_image(np.full_like(blank.image, grey), pair.stamp, topic=topic)
    assert probe.answered(pair.stamp)
    after = probe.messages["odometry"][-1]
    assert np.array_equal(matrix_of(before.pose.pose), matrix_of(after.pose.pose))
    assert after.pose.covariance[0] > before.pose.covariance[0]
    confidence = np.frombuffer(probe.messages["depth/confidence"][-1].data, np.float32)
    assert confidence.mean() < 0.02
    assert probe.status_says("lost")


def test_a_looping_bag_starts_a_new_scene_and_starves_nothing(start_node, probe, clip):
    """Row 10: stamps go back; the pairs of the second round are answered."""
    process = start_node()
    probe.connect(*STEREO_TOPICS)
    for frame in [*clip, *clip]:
        probe.send_stereo(frame)
        assert probe.wait(lambda s=frame.stamp: s in probe.stamps("depth/image")[-1:]), process.log
    assert probe.wait(lambda: len(probe.transforms(LEFT)) == 24)
    assert process.log.count("stamps jumped by -0.733 s") == 1
    poses = [matrix_of(t.transform) for t in probe.transforms(LEFT)]
    assert np.allclose(poses[12], np.eye(4))
    assert np.allclose(poses[5], poses[17], atol=1e-6)


def test_repeated_late_and_far_future_stamps(start_node, probe, image):
    """Row 10."""
    process = start_node()
    probe.connect("image_raw")
    late = START - SECOND // 10
    probe.send_image(image, START)
    assert probe.answered(START)
    for stamp in (START, late, START + 3600 * SECOND):
        probe.send_image(image, stamp)
        probe.spin(0.2)
    assert probe.answered(START + 3600 * SECOND)
    assert probe.wait(lambda: rejected(probe) == 2)
    assert set(probe.stamps("depth/image")) == {START, START + 3600 * SECOND}
    assert "stamps jumped by +3600.000 s" in process.log


def test_a_crash_in_a_stage_is_reported_and_three_deactivate(probe, image, monkeypatch):
    """Row 12."""
    node = PipelineNode()
    probe._executor.add_node(node)
    node.trigger_configure()
    node.trigger_activate()
    try:
        probe.connect("image_raw")
        healthy = node._pipeline.map

        def crash(begun: object) -> None:
            raise RuntimeError("device lost")

        monkeypatch.setattr(node._pipeline, "map", crash)
        for i in range(2):
            probe.send_image(image, START + i)
            assert probe.wait(lambda n=i: node._health.crashes == n + 1)
        assert probe.status_says("device lost")
        assert probe.messages["status"][-1].level == 2
        monkeypatch.setattr(node._pipeline, "map", healthy)
        probe.send_image(image, START + 5)
        assert probe.answered(START + 5)
        monkeypatch.setattr(node._pipeline, "map", crash)
        for i in range(1, 4):
            probe.send_image(image, START + 10 + i)
            assert probe.wait(lambda n=i: node._health.crashes == n or node._live is None)
        assert probe.wait(lambda: node._live is None)  # deactivated
    finally:
        probe._executor.remove_node(node)
        node.trigger_shutdown()
        node.destroy_node()


def test_wrong_parameters_are_refused_with_a_reason(probe):
    """Row 20."""
    node = PipelineNode()
    try:
        for name, value, reason in (
            ("depth_source", "sonar", "none of auto, topic, stereo"),
            ("min_depth", 7.0, "out of range"),
            ("max_points", 0, "out of range"),
            ("publish_tf", "maybe", "none of true, false, inverted"),
        ):
            before = node.get_parameter(name).value
            result = node.set_parameters([Parameter(name, value=value)])[0]
            assert not result.successful
            assert reason in result.reason, result.reason
            assert node.get_parameter(name).value == before
        node.trigger_configure()
        late = node.set_parameters([Parameter("depth_source", value="stereo")])[0]
        assert not late.successful
        assert "unconfigured" in late.reason
        assert node.set_parameters([Parameter("max_points", value=500)])[0].successful
        assert node._outputs.max_points == 500
    finally:
        node.trigger_shutdown()
        node.destroy_node()


def test_frame_ids(start_node, probe, image):
    """Row 21: the slash of the dVRK is stripped, an empty name replaced, a change refused."""
    process = start_node()
    probe.connect("image_raw")
    for i in range(2):
        probe.send_image(image, START + i, frame_id="/jhu_daVinci/left_frame")
        assert probe.answered(START + i)
    assert probe.messages["depth/image"][-1].header.frame_id == "jhu_daVinci/left_frame"
    assert probe.transforms("jhu_daVinci/left_frame")
    assert process.log.count("starts with a slash") == 1
    probe.send_image(image, START + 5, frame_id="other_camera")
    assert probe.wait(lambda: rejected(probe) == 1)
    assert START + 5 not in probe.stamps("depth/image")


def test_an_empty_frame_id_is_replaced(start_node, probe, image):
    """Row 21."""
    start_node()
    probe.connect("image_raw")
    probe.send_image(image, START, frame_id="")
    assert probe.answered(START)
    assert probe.messages["depth/image"][-1].header.frame_id == LEFT


def test_exchanged_eyes_are_an_error_not_depth(start_node, probe, clip):
    """Row 21."""
    start_node()
    probe.connect(*STEREO_TOPICS)
    frame = clip[0]
    pair = frame.stereo
    probe.send_info(pair.left, frame.stamp, pair.P_left)
    probe.send_info(pair.right, frame.stamp, pair.P_right, topic="right/camera_info")
    probe.send_image(frame.image, frame.stamp, topic="right/image_raw")
    probe.send_image(frame.right_image, frame.stamp)
    assert probe.status_says("exchanged")
    assert not probe.messages["depth/image"]


def test_errors_say_what_is_accepted():
    with pytest.raises(InputError, match="rgb8"):
        image_message(np.zeros((4, 4), np.float32), "rgb8", 0, LEFT)
