"""What the node publishes on good input, through DDS."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from node_harness import LEFT, STEREO_TOPICS
from std_srvs.srv import SetBool, Trigger

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.nodes.messages.cloud import CLOUD_DTYPE
from endosfm3d_ros.nodes.messages.conversions import depth_array, matrix_of, nanoseconds

START = 5 * 10**9


def played(probe, clip, pause: float = 0.0) -> list[int]:
    """Send every frame and wait for its answer."""
    stamps = []
    for frame in clip:
        probe.send_stereo(frame)
        stamps.append(frame.stamp)
        assert probe.answered(frame.stamp), stamps
        probe.spin(pause)
    return stamps


@pytest.fixture(scope="module")
def plane() -> SimulatedSequence:
    return SimulatedSequence("plane", frames=3, start=START)


@pytest.fixture(scope="module")
def static() -> list:
    return list(SimulatedSequence("moving", frames=10, width=320, height=256, start=START))


def test_a_plane_at_50_mm_is_a_cloud_at_50_mm(start_node, probe, plane):
    start_node(max_points=400000)
    probe.connect(*STEREO_TOPICS)
    played(probe, plane, pause=0.15)
    assert probe.wait(lambda: probe.messages["points"])
    cloud = np.frombuffer(probe.messages["points"][-1].data, CLOUD_DTYPE)
    z = cloud["z"]
    assert len(z) > 0.7 * 640 * 512
    assert abs(np.median(z) - 0.050) < 1e-4
    assert np.mean(np.abs(z - 0.050) < 5e-4) > 0.99
    assert probe.messages["points"][-1].header.frame_id == LEFT
    assert np.nanmedian(cloud["normal_z"]) < -0.95  # towards the camera


def test_every_output_carries_the_stamp_and_frame_of_its_image(start_node, probe, static):
    """Fault row 24: ten paced frames, ten answers on every topic."""
    start_node()
    probe.connect(*STEREO_TOPICS)
    stamps = played(probe, static, pause=0.12)
    for topic in ("depth/image", "depth/confidence", "depth/camera_info", "camera_info",
                  "odometry", "camera_pose", "points"):  # fmt: skip
        assert probe.wait(lambda t=topic: len(probe.stamps(t)) == len(stamps)), topic
        assert probe.stamps(topic) == stamps, topic
    assert [nanoseconds(t.header.stamp) for t in probe.transforms(LEFT)] == stamps
    depth = probe.messages["depth/image"][-1]
    info = probe.messages["depth/camera_info"][-1]
    assert (depth.encoding, depth.header.frame_id) == ("32FC1", LEFT)
    assert (info.width, info.height) == (depth.width, depth.height)
    assert info.p[0] == info.k[0] > 0
    assert probe.messages["odometry"][-1].header.frame_id == "endoscope_odom"
    assert probe.messages["camera_pose"][-1].header.frame_id == "endoscope_map"


def test_poses_follow_the_true_camera(start_node, probe):
    clip = SimulatedSequence("moving", frames=15, start=START)
    start_node()
    probe.connect(*STEREO_TOPICS)
    played(probe, clip)
    found = np.array([matrix_of(t.transform)[:3, 3] for t in probe.transforms(LEFT)])
    truth = np.array([clip.reference_pose(i)[:3, 3] for i in range(len(clip))])
    assert np.ptp(truth, axis=0).max() > 2e-3
    assert np.sqrt(((found - truth) ** 2).sum(axis=1).mean()) < 2e-4


def test_depth_is_in_the_raw_left_frame(start_node, probe):
    """A pair whose raw left eye is turned by 2 degrees against the rectified one."""
    clip = SimulatedSequence("rotated", frames=1, start=START)
    start_node()
    probe.connect(*STEREO_TOPICS)
    played(probe, clip)
    depth, truth = depth_array(probe.messages["depth/image"][0]), clip.reference_depth(0)
    good = np.isfinite(depth)
    assert good.mean() > 0.7
    assert np.median(np.abs(depth - truth)[good] / truth[good]) < 0.004


@pytest.mark.parametrize(("source", "runs"), [("auto", "starter: "), ("shading", "none")])
def test_one_eye_gives_depth_and_says_that_it_is_relative(start_node, probe, static, source, runs):
    start_node(depth_source=source)
    probe.connect("image_raw")
    for frame in static[:4]:
        probe.send_image(frame.image, frame.stamp)
        assert probe.answered(frame.stamp)
    assert probe.wait(lambda: any(m.frames_processed >= 4 for m in probe.messages["status"]))
    status = probe.messages["status"][-1]
    expected = "endosfm3d" if source == "auto" else source
    assert (status.depth_source, status.scale_source) == (expected, "relative")
    assert np.isnan([status.scale_factor, status.scale_sigma]).all()
    assert status.backend.startswith(runs)
    first = depth_array(probe.messages["depth/image"][0])
    assert np.nanmedian(first) == pytest.approx(0.05, rel=1e-3)
    confidence = np.frombuffer(probe.messages["depth/confidence"][0].data, np.float32)
    assert 0 < confidence.max() <= (0.3 if source == "shading" else 1)


def test_a_right_eye_at_a_lower_rate_gives_the_scale(start_node, probe, static):
    """It comes after the left one, and for every fourth frame only."""
    start_node(depth_source="shading", scale_source="stereo", intrinsics_mode="fixed")
    probe.connect(*STEREO_TOPICS)

    def said() -> list:
        return [m for m in probe.messages["status"] if m.scale_source == "stereo"]

    for i in range(100):
        frame = replace(static[(i + i // 4) % 4], stamp=START + i * 10**8)
        if i % 4 == 0:
            probe.send_stereo(frame, right_last=True)
        else:
            probe.send_image(frame.image, frame.stamp)
        probe.spin(0.1)
        if said():
            break
    status = said()[-1]
    assert status.depth_source == "shading"
    assert status.scale_factor > 0
    assert 0 < status.scale_sigma < 0.05


def test_a_given_calibration_is_believed_and_goes_with_the_depth(start_node, probe, static):
    start_node()
    probe.connect(*STEREO_TOPICS)
    played(probe, static[:2])
    assert probe.wait(lambda: probe.messages["intrinsics"] and probe.messages["camera_info"])
    estimate, info = (probe.messages[name][-1] for name in ("intrinsics", "camera_info"))
    assert (estimate.mode, estimate.state) == ("auto", "given")
    assert estimate.fx == info.k[0] == pytest.approx(static[0].camera.fx)
    assert probe.messages["depth/camera_info"][-1].k[0] == pytest.approx(info.k[0])


def test_in_mode_estimate_the_calibration_is_not_read(start_node, probe, static):
    start_node(intrinsics_mode="estimate")
    probe.connect(*STEREO_TOPICS)
    played(probe, static[:2])
    assert probe.wait(lambda: probe.messages["intrinsics"])
    estimate = probe.messages["intrinsics"][-1]
    assert estimate.fx == pytest.approx(0.82 * 320)
    assert (estimate.mode, estimate.state) == ("estimate", "uninitialised")
    assert probe.wait(lambda: any(m.k_seen_by == "stereo" for m in probe.messages["status"]))


def test_fixed_intrinsics_are_the_given_ones(start_node, probe, static):
    start_node(intrinsics_mode="fixed")
    probe.connect("camera_info", "image_raw")
    frame = static[0]
    probe.send_info(frame.camera, frame.stamp)
    probe.send_image(frame.image, frame.stamp)
    assert probe.wait(lambda: probe.messages["camera_info"])
    assert probe.messages["camera_info"][0].k[0] == pytest.approx(frame.camera.fx)


def test_reset_starts_a_new_scene_and_pause_stops_the_old_one(start_node, probe, static):
    start_node()
    probe.connect(*STEREO_TOPICS)
    played(probe, static[:5])
    assert np.abs(matrix_of(probe.transforms(LEFT)[-1].transform)[:3, 3]).max() > 1e-4
    assert probe.call("reset", Trigger).success
    played(probe, static[5:6])
    assert np.abs(matrix_of(probe.transforms(LEFT)[-1].transform)[:3, 3]).max() < 1e-9
    assert probe.call("pause", SetBool, data=True).success
    count = len(probe.messages["depth/image"])
    probe.send_stereo(static[7])
    probe.spin(0.5)
    assert len(probe.messages["depth/image"]) == count
    assert probe.call("pause", SetBool, data=False).success
    played(probe, static[8:9])


def stamp(header) -> tuple[int, int]:
    return header.stamp.sec, header.stamp.nanosec


def test_a_camera_that_has_a_parent_gets_the_map_below_it(start_node, probe, static):
    from geometry_msgs.msg import TransformStamped
    from node_harness import LATCHED
    from tf2_msgs.msg import TFMessage

    robot = probe.node.create_publisher(TFMessage, "/tf_static", LATCHED)
    edge = TransformStamped(child_frame_id=LEFT)
    edge.header.frame_id = "ECM_tip_link"
    edge.transform.rotation.w = 1.0
    robot.publish(TFMessage(transforms=[edge]))
    process = start_node()
    probe.connect(*STEREO_TOPICS)
    played(probe, static[:3])
    assert "already has the TF parent 'ECM_tip_link'" in process.log
    odometry = {stamp(m.header): m for m in list(probe.messages["odometry"])}
    below = [t for t in probe.transforms("endoscope_odom") if stamp(t.header) in odometry][-1]
    assert below.header.frame_id == LEFT
    camera = matrix_of(odometry[stamp(below.header)].pose.pose)
    assert np.allclose(matrix_of(below.transform) @ camera, np.eye(4), atol=1e-9)


def test_sigint_ends_the_node_with_exit_code_0(start_node, probe, static):
    process = start_node()
    probe.connect(*STEREO_TOPICS)
    played(probe, static[:1])
    assert process.stop(timeout=10.0) == 0
