"""Sessions of the dVRK's recorders: videos, times of frames in JSON beside them, a bag."""

import json

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.formats.calibration import write_camera_file
from endosfm3d_ros.datasets.open import SourceOptions, open_sequence
from endosfm3d_ros.datasets.published.dvrk_session import DVRKSession
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import StereoGeometry

MS = 1_000_000
BEGIN = 1_769_032_418_123_456_789  # ns since 1970
STEP = 33_366_667  # 59.94 / 2 Hz
SIZE = (160, 128)
JITTER = (0, 900_000, -400_000, 1_300_000)


def moments(count=12, shift=0):
    """Times of frames that jitter as those of a frame grabber do."""
    return [BEGIN + shift + i * STEP + JITTER[i % 4] for i in range(count)]


def texture(seed):
    rng = np.random.default_rng(seed)
    grey = np.kron(rng.integers(0, 256, (32, 52), np.uint8), np.ones((4, 4), np.uint8))
    return np.repeat(grey[..., None], 3, axis=-1)


def picture(i, eye=0):
    """A frame whose level tells its number, and which half is which."""
    image = texture(1)[:, 8 * eye : 8 * eye + 160].copy()
    image[:16, :48] = (20 * i, 20 * i, 250 if eye else 0)
    return image


def number(image):
    return round(float(np.median(image[4:12, 4:44, 1])) / 20)


def video(path, make, frames=12):
    first = make(0)
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*"mp4v"), 30000 / 1001, first.shape[1::-1]
    )
    for i in range(frames):
        writer.write(make(i))
    writer.release()


def both(i):
    return np.hstack([picture(i), picture(i, 1)])


def collection(folder, names=("left", "right"), shift=0):
    """What `data_collection` writes: one video and one JSON a camera, and an index."""
    folder.mkdir()
    stem = "260121_161338_suturing"
    videos = []
    for eye, name in enumerate(names):
        file = f"{name}_{stem}"
        video(folder / f"{file}.mp4", lambda i, eye=eye: picture(i, eye))
        content = {
            "name": name,
            "fps": 29.97,
            "video_file": f"{file}.mp4",
            "timestamps_ns": moments(shift=shift * eye),
        }
        (folder / f"{file}.json").write_text(json.dumps(content, indent=2))
        videos.append({"file": f"{file}.mp4", "duration": 0.367})
    bag = {"name": "rosbag_20260121_161338_suturing", "duration": 1.0, "message_count": 30}
    (folder / "index.json").write_text(json.dumps({"videos": videos, "rosbag": bag}))
    return folder


def frames_of(stamps, form):
    """Entries of a `dvrk_data` sidecar, as its versions have written them."""
    start, entries = 5_000_000_000, []
    for stamp in stamps:
        media = start + stamp - stamps[0]
        if form == "cpu_ts":
            entry = {"cpu_ts": stamp, "gst_ts": media}
        elif form == "cpu_ns":
            entry = {
                "cpu_ns": stamp + 40 * MS, "gst_ns": media, "mono_source_ns": 0,
                "left_source_ns": stamp - MS, "right_source_ns": stamp + MS,
                "stereo_output_ns": stamp + 20 * MS, "overlay_output_ns": 0,
            }  # fmt: skip
        else:
            entry = {
                "frame_index": len(entries), "recorder_reception_ns": stamp + 40 * MS,
                "mono_source_ns": stamp, "pts_ns": media,
            }  # fmt: skip
        entries.append(entry)
    return entries


def data_session(folder, form="cpu_ns", side_by_side="LR", entries=None):
    """What `dvrk_data` of dvrk_display writes: one stream of both eyes, index, tags."""
    folder.mkdir()
    video(folder / "decklink_stereo.mp4", both)
    kind = "video_sidecar" if form == "frame_index" else "sidecar"
    sidecar = {
        "type": f"dvrk_data:{kind}@1.0.0",
        "stream_name": "decklink stereo",
        "frames_recorded": 12,
        "frames_dropped": 0,
        "side_by_side": side_by_side,
        "estimated_latency_ms": 0.0,
        "config_files": ["/home/user/decklink_stereo.json"],
        "frames": entries if entries is not None else frames_of(moments(), form),
    }
    (folder / "decklink_stereo.json").write_text(json.dumps(sidecar, sort_keys=True, indent=3))
    streams = [{"name": "decklink stereo", "videos": [{"file": "decklink_stereo.mp4"}]}]
    index = {"type": "dvrk_data:index@1.0.0", "streams": streams, "rosbags": "rosbag"}
    (folder / "index.json").write_text(json.dumps(index))
    tags = {"type": "dvrk_data:session_tags@1.0.0", "stages": [], "tags": {}}
    (folder / "tags.json").write_text(json.dumps(tags))
    return folder


def said(sequence, text):
    return any(text in str(entry) for entry in sequence.report.entries)


@pytest.mark.parametrize("form", ["cpu_ts", "cpu_ns", "frame_index"])
def test_a_session_of_dvrk_data_is_read(tmp_path, form):
    sequence = open_sequence(data_session(tmp_path / "20260121_161338", form))
    frames = list(sequence)
    assert isinstance(sequence, DVRKSession) and sequence.name == "20260121_161338"
    assert [frame.stamp for frame in frames] == moments()  # to the nanosecond
    assert [number(frame.image) for frame in frames] == list(range(12))
    assert frames[0].image.shape == frames[0].right_image.shape == (128, 160, 3)
    assert frames[0].image[8, 20, 0] < 100 < frames[0].right_image[8, 20, 0]
    assert sequence.fps == pytest.approx(29.97, abs=1)
    assert said(sequence, "at their arrival") == (form == "cpu_ts")
    assert said(sequence, "a session holds no calibration")


def test_eyes_may_lie_the_other_way_round(tmp_path):
    sequence = open_sequence(data_session(tmp_path / "s", side_by_side="RL"))
    frame = next(iter(sequence))
    assert frame.right_image[8, 20, 0] < 100 < frame.image[8, 20, 0]


def test_eyes_that_the_recorder_does_not_name_are_asked_for(tmp_path):
    folder = data_session(tmp_path / "s", side_by_side="undefined")
    with pytest.raises(InputError, match="--input image_layout=side_by_side "):
        open_sequence(folder)
    options = SourceOptions(image_layout="side_by_side")
    assert next(iter(open_sequence(folder, options=options))).right_image is not None


def test_a_session_of_data_collection_is_read(tmp_path):
    sequence = open_sequence(collection(tmp_path / "20260121_161338_suturing", shift=2 * MS))
    frames = list(sequence)
    assert [frame.stamp for frame in frames] == moments()
    assert [number(frame.image) for frame in frames] == list(range(12))
    assert [number(frame.right_image) for frame in frames] == list(range(12))
    assert frames[0].image[8, 20, 0] < 100 < frames[0].right_image[8, 20, 0]


def test_streams_that_no_eye_is_named_in_are_named_by_an_option(tmp_path):
    folder = collection(tmp_path / "s", names=("camera_1", "camera_2"))
    with pytest.raises(InputError, match=r"streams camera_1, camera_2: one has to be named"):
        open_sequence(folder)
    options = SourceOptions(left="camera_2", right="camera_1")
    assert next(iter(open_sequence(folder, options=options))).image[8, 20, 0] > 100
    one = open_sequence(folder, options=SourceOptions(left="camera_1", right=""))
    assert next(iter(one)).right_image is None


def test_a_calibration_is_that_of_this_package(tmp_path):
    folder = data_session(tmp_path / "s")
    eye = PinholeCamera(320, 256, 260.0, 260.0, 159.5, 127.5)
    P = np.column_stack([eye.K, np.zeros(3)])
    P_right = P.copy()
    P_right[0, 3] = -260 * 0.005
    pair = StereoGeometry(eye, eye, np.eye(3), P, np.eye(3), P_right)
    write_camera_file(folder, eye, pair, 30.0, 1e-4)
    sequence = open_sequence(folder)
    assert sequence.camera.size == SIZE and sequence.camera.fx == 130.0
    assert sequence.stereo.baseline == pytest.approx(0.005)
    assert sequence.stereo.P_left[0, 0] == pytest.approx(130.0)


@pytest.mark.parametrize("kind", ["pose", "transform"])
def test_poses_come_from_the_bag_when_named(tmp_path, maker, kind):
    folder = data_session(tmp_path / "s")
    for i in range(-5, 120):  # 100 Hz
        stamp = BEGIN + i * 10 * MS
        if kind == "pose":
            maker.pose("/ECM/measured_cp", stamp, (1e-4 * i, 0.0, 0.0))
        else:
            maker.transform_stamped("/ECM/measured_cp", stamp, 1e-4 * i)
    maker.write(folder / "rosbag")
    plain = open_sequence(folder)
    assert plain.reference_pose(3) is None
    assert said(plain, "--input poses=/ECM/measured_cp")
    sequence = open_sequence(folder, options=SourceOptions(poses="/ECM/measured_cp"))
    for i, stamp in enumerate(moments()):
        assert sequence.reference_pose(i)[0, 3] == pytest.approx((stamp - BEGIN) * 1e-11, abs=6e-5)
    with pytest.raises(InputError, match="0 poses in /PSM1/measured_cp, none within 16 ms"):
        open_sequence(folder, options=SourceOptions(poses="/PSM1/measured_cp"))


def test_more_times_than_frames_are_refused(tmp_path):
    folder = data_session(tmp_path / "s", entries=frames_of(moments(17), "cpu_ns"))
    with pytest.raises(InputError, match="has 12 frames, but 17 times beside it, and nothing says"):
        open_sequence(folder)


def test_frames_that_an_encoder_lost_at_the_end_are_left_out(tmp_path):
    folder = data_session(tmp_path / "s", entries=frames_of(moments(14), "cpu_ns"))
    assert [frame.stamp for frame in open_sequence(folder)] == moments()


def test_the_frames_own_index_goes_before_their_order(tmp_path):
    entries = frames_of(moments(), "frame_index")
    kept = [entry for i, entry in enumerate(entries) if i not in (3, 4)]
    sequence = open_sequence(data_session(tmp_path / "s", "frame_index", entries=kept))
    assert [number(frame.image) for frame in sequence] == [0, 1, 2, 5, 6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize("entries", [[{}], [{"cpu_ns": 0}], [{"cpu_ns": "x"}], [3], "frames"])
def test_times_that_are_none_are_one_sentence(tmp_path, entries):
    with pytest.raises(InputError, match=r"decklink_stereo\.json|frame 0 has no time"):
        open_sequence(data_session(tmp_path / "s", entries=entries))


def test_an_interrupted_stream_goes_on_in_the_next_file(tmp_path):
    folder = data_session(tmp_path / "s", entries=frames_of(moments(), "cpu_ns"))
    video(folder / "decklink_stereo_001.mp4", both, 4)
    sidecar = json.loads((folder / "decklink_stereo.json").read_text())
    later = [stamp + 10**9 for stamp in moments(4)]
    sidecar["frames"] = frames_of(later, "cpu_ns")
    (folder / "decklink_stereo_001.json").write_text(json.dumps(sidecar))
    frames = list(open_sequence(folder))
    assert [frame.stamp for frame in frames] == [*moments(), *later]
    assert [number(frame.image) for frame in frames] == [*range(12), *range(4)]
