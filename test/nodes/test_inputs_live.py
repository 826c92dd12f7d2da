"""Inputs as the world sends them, to the real node over DDS: right, or refused aloud."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from node_harness import LATCHED, LEFT, Probe
from plane_scene import Plane, Rig, Sampling, encoded, eyes, infos, raw_message, with_lens
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_srvs.srv import Trigger

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import FISHEYE, PINHOLE, PinholeCamera
from endosfm3d_ros.nodes.messages.conversions import (
    byte_array,
    camera_info_message,
    compressed_message,
    image_message,
    time_message,
)
from endosfm3d_ros.nodes.offline.process import WITHOUT_STAGES, PipelineProcess

START, STEP = 100 * 10**9, 10**8
LENS = PinholeCamera(320, 256, 280.0, 280.0, 160.0, 127.0, (-0.3, 0.1, 0.0, 0.0, 0.0))
TURN = se3.from_vectors(np.array([0.02, 0.0, 0.01]), np.zeros(3))[:3, :3]
RIG, DISTANCE = Rig(LENS, LENS, TURN), 0.04
INFOS = ("camera_info", "right/camera_info")
EYES = ("image_raw", "right/image_raw")


@pytest.fixture(scope="module")
def raw() -> tuple[np.ndarray, np.ndarray]:
    return eyes(RIG, Plane(DISTANCE), rectified=False)


@pytest.fixture(scope="module")
def rectified() -> tuple[np.ndarray, np.ndarray]:
    return eyes(RIG, Plane(DISTANCE), rectified=True)


@pytest.fixture
def started(tmp_path):
    """Starts the node with remappings too."""
    running = []

    def start(remappings: dict[str, str] | None = None, **parameters) -> PipelineProcess:
        log = tmp_path / f"remapped_{len(running)}.log"
        running.append(PipelineProcess(log, WITHOUT_STAGES | parameters, remappings))
        return running[-1]

    yield start
    for process in running:
        process.stop()


class Stream:
    """A camera of two eyes; its clock runs on with every picture."""

    def __init__(self, probe: Probe, names: tuple[str, str] = EYES, infos=INFOS) -> None:
        self.probe, self.names, self.infos, self.stamp = probe, names, infos, START

    def calibration(self, baseline: float = RIG.baseline) -> list[CameraInfo]:
        R1, R2, P1, P2 = Rig(LENS, LENS, TURN, baseline).rectification()
        return [camera_info_message(LENS, self.stamp, LEFT, R, P)
                for R, P in ((R1, P1), (R2, P2))]  # fmt: skip

    def calibrate(self, baseline: float = RIG.baseline) -> None:
        for topic, message in zip(self.infos, self.calibration(baseline)):
            self.probe.publisher(topic, CameraInfo).publish(message)
        self.probe.spin(0.1)

    def send(self, pictures, skew: int = 0, right: bool = True) -> int:
        self.stamp += STEP
        if right:
            self.probe.send_image(pictures[1], self.stamp + skew, topic=self.names[1])
        self.probe.send_image(pictures[0], self.stamp, topic=self.names[0])
        self.probe.spin(0.1)
        return self.stamp

    def send_until(self, condition, pictures, tries: int = 150, **how) -> bool:
        """Send until it comes true."""
        for _ in range(tries):
            if condition():
                return True
            self.send(pictures, **how)
        return condition()


def depth(probe: Probe) -> float:
    """Median of the newest depth image in metres."""
    values = np.frombuffer(probe.messages["depth/image"][-1].data, np.float32)
    return float(np.nanmedian(values))


def status(probe: Probe):
    return probe.messages["status"][-1] if probe.messages["status"] else None


def is_metric(probe: Probe) -> bool:
    newest = status(probe)
    return newest is not None and newest.scale_source == "stereo"


def connected(probe: Probe, *topics: str) -> None:
    probe.connect(*topics)
    probe.messages["depth/image"].clear()


@pytest.fixture
def start_node(start_node):
    """Streams here are of one picture, sent again and again."""
    return partial(start_node, still_pictures=True)


def test_a_rectified_pair_with_the_usual_raw_camera_info(started, probe, rectified):
    names = ("/left/image_rect_color", "/right/image_rect_color")
    started(dict(zip(EYES, names)))
    stream = Stream(probe, names)
    connected(probe, *names, *INFOS)
    stream.calibrate()
    assert stream.send_until(lambda: probe.messages["depth/image"], rectified)
    assert depth(probe) == pytest.approx(DISTANCE, rel=0.01)
    assert is_metric(probe) or probe.wait(lambda: is_metric(probe))
    info = probe.messages["camera_info"][-1]
    assert not any(info.d)


def test_a_calibration_sent_once_and_pictures_of_the_remapped_base_name(started, probe, raw):
    """Latched camera_info; `image_raw:=/cam/image_color` finds /cam/image_color/compressed.

    The raw topic is announced too, and stays silent.
    """
    stream = Stream(probe)
    probe.node.create_publisher(Image, "/cam/image_color", 10)
    for topic, message in zip(INFOS, stream.calibration()):
        probe.node.create_publisher(CameraInfo, topic, LATCHED).publish(message)
    publishers = {
        topic: probe.node.create_publisher(CompressedImage, f"{base}/compressed", 10)
        for topic, base in zip(EYES, ("/cam/image_color", "/cam/right/image_color"))
    }
    started({EYES[0]: "/cam/image_color", EYES[1]: "/cam/right/image_color"})
    assert probe.wait(lambda: all(p.get_subscription_count() for p in publishers.values()), 60)

    def send() -> None:
        stream.stamp += STEP
        for topic, picture in reversed(list(zip(EYES, raw))):
            publishers[topic].publish(compressed_message(picture, "png", stream.stamp, LEFT))
        probe.spin(0.1)

    for _ in range(100):
        send()
        if probe.messages["depth/image"]:
            break
    assert depth(probe) == pytest.approx(DISTANCE, rel=0.01)


def test_a_right_eye_that_comes_late_goes_and_comes_back(start_node, probe, raw):
    """One eye first; then metres and a new scene; then none without it, until a reset."""
    process = start_node()
    connected(probe, EYES[0])
    stream = Stream(probe)
    assert stream.send_until(lambda: probe.messages["depth/image"], raw, right=False)
    assert not is_metric(probe)
    connected(probe, *INFOS, EYES[1])
    stream.calibrate()
    assert stream.send_until(lambda: is_metric(probe), raw)
    assert "metric depth has become available: a new scene starts" in process.log
    assert stream.send_until(lambda: "silent for" in status(probe).message, raw, right=False)
    assert status(probe).level == 2
    probe.spin(0.5)
    count = len(probe.messages["depth/image"])
    stream.send(raw, right=False)
    assert len(probe.messages["depth/image"]) == count
    assert probe.call("reset", Trigger).success
    assert stream.send_until(
        lambda: "after it was from both eyes" in status(probe).message, raw, right=False
    )
    assert status(probe).level == 1 and not is_metric(probe)
    assert stream.send_until(lambda: is_metric(probe) and status(probe).level == 0, raw)
    assert depth(probe) == pytest.approx(DISTANCE, rel=0.01)


def test_eyes_stamped_apart_are_paired_and_the_offset_is_said(start_node, probe, raw):
    process = start_node()
    connected(probe, *INFOS, *EYES)
    stream = Stream(probe)
    stream.calibrate()
    assert stream.send_until(lambda: len(probe.messages["depth/image"]) > 3, raw, skew=STEP // 5)
    assert depth(probe) == pytest.approx(DISTANCE, rel=0.01)
    assert "stamped +20.0 ms from the left images" in process.log


def test_a_baseline_that_changes_within_a_scene_stops_the_metres(start_node, probe, raw):
    start_node()
    connected(probe, *INFOS, *EYES)
    stream = Stream(probe)
    stream.calibrate()
    assert stream.send_until(lambda: is_metric(probe), raw)
    stream.calibrate(1.5 * RIG.baseline)
    probe.spin(1.0)
    probe.messages["depth/image"].clear()
    said = "calibration changed within a scene: baseline 4.50 to 6.75 mm"
    assert stream.send_until(lambda: said in status(probe).message, raw)
    assert status(probe).level == 2 and probe.messages["depth/image"] == []
    stream.calibrate()
    assert stream.send_until(lambda: probe.messages["depth/image"], raw)
    assert depth(probe) == pytest.approx(DISTANCE, rel=0.01)


def test_depth_in_millimetres_is_an_error_until_it_is_in_metres(start_node, probe, raw):
    """An encoding that is none stays an error too."""
    start_node(depth_source="topic")
    connected(probe, EYES[0], "depth_in")
    plane, stamp = np.full((256, 320), DISTANCE, np.float32), START

    def send(factor: float, encoding: str = "32FC1") -> None:
        nonlocal stamp
        stamp += STEP
        message = image_message(plane * np.float32(factor), "32FC1", stamp, LEFT)
        message.encoding = encoding
        probe.publisher("depth_in", Image).publish(message)
        probe.send_image(raw[0], stamp)
        probe.spin(0.1)

    for factor, encoding, words in ((1e3, "32FC1", "median of 40000 mm"),
                                    (1, "rvl", "depth image encoding 'rvl'")):  # fmt: skip
        for _ in range(60):
            send(factor, encoding)
            if status(probe) and words in status(probe).message:
                break
        assert words in status(probe).message and status(probe).level == 2
        probe.spin(1.5)
        assert words in status(probe).message  # it stays
        assert probe.messages["depth/image"] == []
    send(1.0)
    assert probe.wait(lambda: probe.messages["depth/image"])
    assert depth(probe) == pytest.approx(DISTANCE, rel=1e-3)
    assert probe.wait(lambda: "32FC1" not in status(probe).message)


def test_images_without_a_time_are_those_of_one_eye(start_node, probe, raw):
    """Stamp 0: the time of arrival, said once; a right eye without one belongs to no image."""
    process = start_node()
    connected(probe, *INFOS, *EYES)
    stream = Stream(probe)
    stream.calibrate()
    for _ in range(100):
        for topic, picture in reversed(list(zip(EYES, raw))):
            probe.send_image(picture, 0, topic=topic)
        probe.spin(0.1)
        if len(probe.messages["depth/image"]) > 2 and "no time" in status(probe).message:
            break
    assert "/right/image_raw: carries no time (stamp 0)" in status(probe).message
    assert process.log.count("images carry no time (stamp 0)") == 1
    stamps = probe.stamps("depth/image")
    assert all(a < b for a, b in pairwise(stamps)) and not is_metric(probe)


def test_names_that_nearly_match_are_suggested(start_node, probe, raw):
    start_node()
    connected(probe, *EYES, INFOS[0])
    stream = Stream(probe, infos=(INFOS[0], "/rigth/camera_info"))
    stream.calibrate()
    said = "nothing on /right/camera_info; /rigth/camera_info has a publisher"
    assert stream.send_until(lambda: status(probe) and said in status(probe).message, raw)
    assert status(probe).level == 1 and not is_metric(probe)


@pytest.mark.parametrize("layout", ["single", "side_by_side"])
def test_both_eyes_in_one_picture(start_node, probe, raw, layout):
    """Noticed, and with the parameter taken apart; here as yuv422_yuy2."""
    start_node(image_layout=layout)
    connected(probe, *INFOS, EYES[0])
    stream = Stream(probe)
    stream.calibrate()
    packed, _ = encoded(np.concatenate(raw, axis=1), "yuv422_yuy2")
    for _ in range(80):
        stream.stamp += STEP
        message = Image(height=256, width=640, encoding="yuv422_yuy2", step=1280)
        message.header.stamp, message.header.frame_id = time_message(stream.stamp), LEFT
        message.data = byte_array(packed)
        probe.publisher(EYES[0], Image).publish(message)
        probe.spin(0.1)
        if probe.messages["depth/image"] and status(probe):
            break
    if layout == "single":
        assert probe.status_says("looks like both eyes side by side")
    else:
        assert depth(probe) == pytest.approx(DISTANCE, rel=0.01)


def test_a_misspelt_parameter_ends_the_node_with_the_right_name(started):
    process = started(depht_source="stereo")
    assert process.process.wait(60) == 1
    assert "unknown parameter 'depht_source': did you mean 'depth_source'?" in process.log


LENSES = {
    "twelve": ((-0.2, 0.1, 0, 0, 0, 0.01, 0, 0, 2e-3, 0, -2e-3, 1e-3), PINHOLE),
    "fisheye": ((0.01, -0.01, 0.0, 0.0), FISHEYE),
    "none": ((), PINHOLE),
}
COMBINATIONS = [
    ("twelve", Sampling((20, 10, 280, 240), 1, "own"), "bayer_rggb8"),
    ("fisheye", Sampling((20, 10, 280, 240), 1, "standard"), "nv12"),
    ("none", Sampling(None, 2, "stale"), "rgb16"),
    ("twelve", Sampling(None, 2, "standard"), "8UC3"),
]


def test_lenses_crops_and_encodings_one_after_the_other(start_node, probe):
    """A handful of the combinations of `test/inputs`, with a reset between them."""
    start_node()
    connected(probe, *INFOS, *EYES)
    stamp = START
    for lens, sampling, encoding in COMBINATIONS:
        camera = with_lens(LENS, *LENSES[lens])
        rig = Rig(camera, camera, TURN)
        pictures = [sampling.image(eye) for eye in eyes(rig, Plane(DISTANCE), rectified=False)]
        for topic, plain in zip(INFOS, infos(rig, sampling)):
            probe.publisher(topic, CameraInfo).publish(info_message(plain))
        probe.spin(0.2)
        assert probe.call("reset", Trigger).success
        probe.messages["depth/image"].clear()
        for _ in range(60):
            stamp += STEP
            for topic, picture in reversed(list(zip(EYES, pictures))):
                probe.publisher(topic, Image).publish(picture_message(picture, encoding, stamp))
            probe.spin(0.1)
            if probe.messages["depth/image"]:
                break
        assert depth(probe) == pytest.approx(DISTANCE, rel=0.01), (lens, sampling, encoding)
        assert probe.wait(lambda: is_metric(probe))


def info_message(plain) -> CameraInfo:
    """The message of the fields of one."""
    message = CameraInfo(
        width=plain.width, height=plain.height, distortion_model=plain.distortion_model,
        d=plain.d, k=plain.k, r=plain.r, p=plain.p,
        binning_x=plain.binning_x, binning_y=plain.binning_y,
    )  # fmt: skip
    for name in ("x_offset", "y_offset", "width", "height"):
        setattr(message.roi, name, getattr(plain.roi, name))
    message.header.frame_id = LEFT
    return message


def picture_message(picture: np.ndarray, encoding: str, stamp: int) -> Image:
    """An Image in any encoding."""
    plain = raw_message(picture, encoding, pad=4)
    message = Image(
        height=plain.height, width=plain.width, encoding=encoding, step=plain.step,
        is_bigendian=plain.is_bigendian, data=byte_array(plain.data),
    )  # fmt: skip
    message.header.stamp, message.header.frame_id = time_message(stamp), LEFT
    return message
