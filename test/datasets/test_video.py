"""Plain videos, calibrated or not."""

import json

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.datasets.videos.file import VideoFile
from endosfm3d_ros.datasets.videos.sequence import VideoSequence
from endosfm3d_ros.errors import InputError


@pytest.fixture
def video(tmp_path):
    """90 frames of 64x48 at 25 Hz whose red square moves by a pixel a frame."""
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25, (64, 48))
    for i in range(90):
        writer.write(picture(i)[..., ::-1])
    writer.release()
    return path


def picture(i):
    image = np.full((48, 64, 3), 40, np.uint8)
    image[10:20, i % 50 : i % 50 + 10] = (250, 0, 0)
    return image


def column(image):
    """Where the square begins, which tells the frame."""
    return round(np.flatnonzero(image[15, :, 0] > 150)[0])


def test_frames_are_rgb_and_in_time(video):
    sequence = open_sequence(video, start=7)
    frames = list(sequence)
    assert isinstance(sequence, VideoSequence) and len(sequence) == len(frames) == 90
    assert (sequence.name, sequence.fps, sequence.camera) == ("clip", 25.0, None)
    assert [frame.stamp for frame in frames[:2]] == [7, 40_000_007]
    for i, frame in enumerate(frames):
        assert column(frame.image) == pytest.approx(i % 50, abs=1)
        assert frame.image[15, i % 50 + 5, 2] < 60  # red, not blue


def test_the_camera_lies_beside_it(video):
    content = {"image_size": [128, 96], "fx": 100, "fy": 102, "cx": 63.5, "cy": 47.5, "fps": 30}
    video.with_suffix(".json").write_text(json.dumps(content))
    sequence = VideoSequence(video)
    camera = sequence.camera
    assert (camera.size, camera.fx, camera.fy, camera.cx) == ((64, 48), 50, 51, 31.5)
    assert sequence.fps == 30.0 and next(iter(sequence)).camera == camera


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"fx": 0}, "focal lengths 0.0, 50.0 px"),
        ({"fx": float("nan")}, "all must be finite"),
        ({"image_size": [64, 40]}, "64x40, but the video has 64x48"),
        ({"image_size": [0, 0]}, "camera size 0x0"),
    ],
)
def test_a_wrong_camera_is_one_sentence(video, content, sentence):
    whole = {"image_size": [64, 48], "fx": 50, "fy": 50, "cx": 31, "cy": 23, "fps": 25}
    video.with_suffix(".json").write_text(json.dumps(whole | content))
    with pytest.raises(InputError, match=sentence):
        VideoSequence(video)


@pytest.mark.parametrize("even", [True, False])
def test_spans_are_reached_exactly(video, even):
    """By seeking, or by reading on where frames are not evenly spaced."""
    file = VideoFile(video)
    assert file._even
    file._even = even
    positions = [3, 4, 40, 41, 87]
    spans = [range(3, 5), range(40, 42), range(87, 88)]
    assert [column(image) for image in file.frames(spans)] == pytest.approx(
        [position % 50 for position in positions], abs=1
    )


def test_seeking_in_inter_coded_video(shared):
    """Every frame of an h264 file, reached by seeking and by reading on."""
    file = VideoFile(shared / "data" / "stereomis" / "fabricated_from_scared" / "S1" / "S1.mp4")
    whole = list(file.frames([range(file.count)]))
    for position in (7, 58):
        sought = next(file.frames([range(position, position + 1)]))
        np.testing.assert_array_equal(sought, whole[position])


@pytest.mark.parametrize("content", [b"", b"no video at all" * 100])
def test_what_is_no_video_is_one_sentence(tmp_path, content, capfd):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"clip.mp4 cannot be read as a video"):
        open_sequence(path)
    assert capfd.readouterr() == ("", "")


def test_a_video_that_ends_early_is_one_sentence(video):
    whole = video.read_bytes()
    half = len(whole) // 2
    video.write_bytes(whole[:half] + bytes(len(whole) - half))
    with pytest.raises(InputError, match=r"ends after .* it is cut off or damaged"):
        list(VideoSequence(video))
