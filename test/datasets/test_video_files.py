"""Videos as recorders, towers and phones leave them: names, suffixes, times, turns, both eyes."""

import json
import os
import struct
import subprocess
import sys

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.open import SourceOptions, open_sequence
from endosfm3d_ros.datasets.readers.video import SUFFIXES
from endosfm3d_ros.datasets.videos.file import VideoFile
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.files import cv_files
from endosfm3d_ros.files.pictures import write_picture

MS = 1_000_000


def picture(i, size=(160, 128)):
    """(H, W, 3) BGR with a square in the upper left that moves by two pixels a frame."""
    image = np.full((size[1], size[0], 3), 40, np.uint8)
    image[10:30, 2 * i % 100 : 2 * i % 100 + 20] = (0, 0, 250)
    return image


def write(path, codec="mp4v", fps=25, frames=20, make=picture):
    first = make(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), fps, first.shape[1::-1])
    for i in range(frames):
        writer.write(make(i))
    writer.release()
    return path


def place(image):
    return round(np.flatnonzero(image[20, :, 0] > 150)[0] / 2)


# --- names -----------------------------------------------------------------------------------

NAMES = [
    b"case_\xc4rztin.mp4",  # Latin-1
    "手術 ü.mp4".encode(),
    b"[bold]case[red].mp4",
    b"frame_%03d.mp4",
    b"a:b?c#d.mp4",
    b"-f.mp4",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_video_of_any_name_is_read(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    write(tmp_path / "plain.mp4").rename(path)
    frames = list(open_sequence(path))
    assert [place(frame.image) for frame in frames] == list(range(20))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_video_is_one_sentence_under_any_name(tmp_path, name):
    path = tmp_path / os.fsdecode(name)
    path.write_bytes(b"nothing of the kind")
    with pytest.raises(InputError, match="cannot be read as a video"):
        open_sequence(path)


@pytest.mark.parametrize("name", [b"kl\xe4r", b"[red]x[green]"])
def test_commands_take_any_name(tmp_path, name):
    """In a process of its own, as names meet the terminal there."""
    folder = tmp_path / os.fsdecode(name)
    (folder / "images").mkdir(parents=True)
    for i in range(2):
        write_picture(folder / "images" / f"{i:06d}.png", picture(i))
    camera = {"image_size": [160, 128], "fx": 130, "fy": 130, "cx": 80, "cy": 64, "fps": 25}
    (folder / "camera.json").write_text(json.dumps(camera))

    def convert(source, bag):
        command = [sys.executable, "-m", "endosfm3d_ros.cli.main", "convert", source, bag]
        return subprocess.run(command, capture_output=True, check=False)

    done = convert(folder, tmp_path / "bag")
    assert done.returncode == 0, done.stderr
    assert len(open_sequence(tmp_path / "bag")) == 2
    missing = convert(folder / "none", tmp_path / "b")
    assert missing.returncode == 1 and b"does not exist" in missing.stderr
    assert name in missing.stderr and b"Traceback" not in missing.stderr


def test_pictures_matrices_and_films_of_any_name(tmp_path):
    folder = tmp_path / os.fsdecode(b"\xff%d[x]")
    folder.mkdir()
    write_picture(folder / "a.png", picture(3)[..., ::-1])
    np.testing.assert_array_equal(cv_files.read_image(folder / "a.png", 1), picture(3))
    (folder / "empty.png").write_bytes(b"")
    assert cv_files.read_image(folder / "empty.png", 1) is None
    film = cv_files.open_video_writer(folder / "film.mp4", 25, (160, 128))
    for i in range(5):
        film.write(picture(i))
    film.release()
    assert VideoFile(folder / "film.mp4").count == 5
    storage = cv2.FileStorage(str(tmp_path / "m.yaml"), cv2.FILE_STORAGE_WRITE)
    storage.write("R", np.eye(3))
    storage.release()
    moved = (tmp_path / "m.yaml").rename(folder / "m.yaml")
    assert list(cv_files.read_matrices(moved, ("R", "T"))) == ["R"]


# --- suffixes --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [
        (".mp4", "mp4v"), (".MOV", "mp4v"), (".m4v", "mp4v"), (".3gp", "mp4v"), (".avi", "MJPG"),
        (".AVI", "FFV1"), (".mkv", "MJPG"), (".webm", "VP80"), (".mpg", "mpg1"), (".mpeg", "mpg2"),
        (".vob", "mpg2"), (".ts", "mp4v"), (".mts", "mpg2"), (".m2ts", "mpg2"), (".wmv", "WMV2"),
        (".asf", "WMV2"), (".flv", "FLV1"), (".mxf", "mpg2"), (".nut", "mp4v"), (".m2v", "mpg2"),
        (".mjpeg", "MJPG"), (".rm", "rv10"),
    ],
)  # fmt: skip
def test_every_container_gives_its_frames_and_times(tmp_path, suffix, codec):
    path = tmp_path / f"clip{suffix}"
    assert suffix.lower() in SUFFIXES
    first = picture(0)
    writer = cv2.VideoWriter(
        str(tmp_path / f"clip{suffix.lower()}"), cv2.CAP_FFMPEG,
        cv2.VideoWriter_fourcc(*codec), 25, first.shape[1::-1],
    )  # fmt: skip
    if not writer.isOpened():
        pytest.skip(f"this OpenCV writes no {suffix}")
    for i in range(20):
        writer.write(picture(i))
    writer.release()
    (tmp_path / f"clip{suffix.lower()}").rename(path)
    sequence = open_sequence(path, start=7)
    frames = list(sequence)
    assert len(frames) == len(sequence) == 20 and sequence.fps == pytest.approx(25)
    assert [frame.stamp for frame in frames] == [7 + 40 * MS * i for i in range(20)]
    assert [place(frame.image) for frame in frames] == pytest.approx(list(range(20)), abs=1)


# --- times -----------------------------------------------------------------------------------


def without_duration(path):
    """As live writers leave Matroska: no duration in the header, no cues at the end."""
    content = path.read_bytes().replace(b"\x44\x89\x88", b"\xec\x89\x00", 1)
    end = content.rfind(b"\x1c\x53\xbb\x6b")
    path.write_bytes(content[:end] if end > 0 else content)


def test_a_video_without_duration_or_index_is_read(tmp_path):
    path = write(tmp_path / "live.mkv", "MJPG", frames=40)
    without_duration(path)
    sequence = open_sequence(path)
    assert len(sequence) == len(list(sequence)) == 40 and sequence.fps == 25.0


def restamped(path, times):
    """A Matroska file of one cluster with other times (ms) of its frames."""
    content, times = bytearray(path.read_bytes()), list(times)
    at = content.index(b"\x1f\x43\xb6\x75") + 4
    at = sized(content, at)[1]
    while times:
        kind = content[at]
        size, start = sized(content, at + 1)
        if kind == 0xA3:  # a block: track number, then its time
            struct.pack_into(">h", content, start + 1, times.pop(0))
        at = start + size
    path.write_bytes(content)


def sized(content, at):
    """The number of variable length at a position, and where it ends."""
    length = 9 - content[at].bit_length()
    value = int.from_bytes(content[at : at + length], "big") & ((1 << 7 * length) - 1)
    return value, at + length


def test_a_variable_frame_rate_keeps_the_containers_times(tmp_path):
    times = [0, 40, 80, 120, 190, 260, 330]
    path = write(tmp_path / "vfr.mkv", "MJPG", frames=7)
    restamped(path, times)
    frames = list(open_sequence(path, start=5))
    assert [frame.stamp - 5 for frame in frames] == [time * MS for time in times]
    assert [place(frame.image) for frame in frames] == list(range(7))


def test_a_rate_in_the_camera_file_is_believed(tmp_path):
    path = write(tmp_path / "clip.mkv", "MJPG", frames=5)
    camera = {"image_size": [160, 128], "fx": 130, "fy": 130, "cx": 80, "cy": 64, "fps": 50}
    path.with_suffix(".json").write_text(json.dumps(camera))
    assert [frame.stamp for frame in open_sequence(path)] == [20 * MS * i for i in range(5)]


# --- turns -----------------------------------------------------------------------------------

MATRICES = {  # of the track header: a b u c d v x y w
    90: (0, 1, 0, -1, 0, 0, 0, 0, 0x4000),
    180: (-1, 0, 0, 0, -1, 0, 0, 0, 0x4000),
}


def turned(path, degrees):
    content = bytearray(path.read_bytes())
    start = content.index(b"tkhd") + 4 + 40
    numbers = [value << 16 for value in MATRICES[degrees]]
    struct.pack_into(">9i", content, start, *numbers)
    path.write_bytes(content)
    return path


def test_pictures_are_turned_as_the_container_asks(tmp_path):
    path = turned(write(tmp_path / "clip.mp4", frames=3), 90)
    sequence = open_sequence(path)
    plain = picture(0)[..., ::-1].astype(int)
    image = next(iter(sequence)).image.astype(int)
    error = {k: np.abs(image - np.rot90(plain, k)).mean() for k in (1, 3)}
    assert image.shape == (160, 128, 3) and min(error.values()) < 5
    assert any(
        "pictures are turned as the container asks" in str(e) for e in sequence.report.entries
    )


@pytest.mark.parametrize(
    ("size", "shape"), [([160, 128], (128, 160, 3)), ([128, 160], (160, 128, 3))]
)
def test_the_shape_of_a_calibration_tells_whether_it_is_of_turned_pictures(tmp_path, size, shape):
    path = turned(write(tmp_path / "clip.mp4", frames=3), 90)
    camera = {"fx": 130, "fy": 130, "cx": size[0] / 2, "cy": size[1] / 2, "fps": 25}
    path.with_suffix(".json").write_text(json.dumps(camera | {"image_size": size}))
    frame = next(iter(open_sequence(path)))
    assert frame.image.shape == shape and frame.camera.size == tuple(size)


@pytest.mark.parametrize("told", [None, True, False])
def test_a_picture_upside_down_needs_a_word_about_its_calibration(tmp_path, told):
    path = turned(write(tmp_path / "clip.mp4", frames=3), 180)
    camera = {"image_size": [160, 128], "fx": 130, "fy": 130, "cx": 80, "cy": 64, "fps": 25}
    if told is not None:
        camera["turned"] = told
    path.with_suffix(".json").write_text(json.dumps(camera))
    if told is None:
        with pytest.raises(InputError, match=r'180 degrees: clip.json has to say "turned": true'):
            open_sequence(path)
        return
    image = next(iter(open_sequence(path))).image
    upright = image[20, 5, 0] > 150
    assert upright != told


# --- both eyes -------------------------------------------------------------------------------


def stacked(i):
    rng = np.random.default_rng(i)
    wide = np.kron(rng.integers(0, 256, (32, 48), np.uint8), np.ones((4, 4), np.uint8))
    pair = np.vstack([wide[:, :160], wide[:, 12:172]])
    return np.repeat(pair[..., None], 3, axis=-1)


def test_stacked_eyes_in_a_video_are_noticed_and_split(tmp_path):
    path = write(tmp_path / "pair.avi", "FFV1", make=stacked, frames=4)
    with pytest.raises(InputError, match="--input image_layout=top_bottom "):
        open_sequence(path)
    K = [[130.0, 0, 80], [0, 130.0, 64], [0, 0, 1]]
    P1 = [[130.0, 0, 80, 0], [0, 130.0, 64, 0], [0, 0, 1, 0]]
    P2 = [[130.0, 0, 80, -130.0 * 5], [0, 130.0, 64, 0], [0, 0, 1, 0]]
    pair = {"image_size": [160, 128], "fps": 25, "P1": P1, "P2": P2, "K1": K, "K2": K}
    path.with_suffix(".json").write_text(json.dumps(pair))
    sequence = open_sequence(path, options=SourceOptions(image_layout="top_bottom"))
    frame = next(iter(sequence))
    whole = stacked(0)
    assert np.abs(frame.image.astype(int) - whole[:128]).mean() < 2
    assert np.abs(frame.right_image.astype(int) - whole[128:]).mean() < 2
    assert sequence.stereo.baseline == pytest.approx(0.005)


def test_a_container_that_promises_more_than_it_holds_is_said(tmp_path):
    path = write(tmp_path / "cut.mkv", "MJPG", frames=40)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    sequence = open_sequence(path)
    frames = list(sequence)
    assert 15 < len(frames) <= len(sequence) < 30
    assert any("of the 40 frames of its header" in str(e) for e in sequence.report.entries)


# --- cut off ---------------------------------------------------------------------------------


def moved_to_the_front(content):
    """A MP4 whose index lies before the pictures, as for streaming."""
    boxes, at = [], 0
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at)
        boxes.append(content[at : at + length])
        at += length
    (moov,) = (box for box in boxes if box[4:8] == b"moov")
    others = [box for box in boxes if box[4:8] not in (b"ftyp", b"moov")]
    table = moov.index(b"stco") + 8
    (count,) = struct.unpack_from(">I", moov, table)
    offsets = struct.unpack_from(f">{count}I", moov, table + 4)
    index = bytearray(moov)
    struct.pack_into(f">{count}I", index, table + 4, *(offset + len(moov) for offset in offsets))
    return b"".join([boxes[0], bytes(index), *others])


@pytest.mark.parametrize("share", [0.35, 0.7, 0.95])
@pytest.mark.parametrize("kind", ["MJPG avi", "XVID avi", "FFV1 avi", "mp4v mp4"])
def test_of_a_cut_video_what_is_whole_is_read_and_the_loss_is_said(tmp_path, kind, share):
    codec, suffix = kind.split()
    path = write(tmp_path / f"whole.{suffix}", codec, frames=40, make=noisy)
    content = path.read_bytes()
    if suffix == "mp4":
        content = moved_to_the_front(content)
        path.write_bytes(content)
    whole = [frame.image for frame in open_sequence(path)]
    assert len(whole) == 40
    cut = tmp_path / f"cut.{suffix}"
    cut.write_bytes(content[: int(len(content) * share)])
    sequence = open_sequence(cut)
    frames = [frame.image for frame in sequence]
    assert 40 * share - 12 < len(frames) <= len(sequence) < 40
    assert any("of the 40 frames of its header" in str(e) for e in sequence.report.entries)
    for found, stored in zip(frames, whole):
        np.testing.assert_array_equal(found, stored)


def noisy(i):
    return np.random.default_rng(i).integers(0, 255, (128, 160, 3), np.uint8)


def test_a_cut_video_without_its_index_says_what_is_missing_and_what_helps(tmp_path):
    path = write(tmp_path / "cut.mp4", "mp4v")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"list of its frames \(moov\).*untrunc"):
        open_sequence(path)
