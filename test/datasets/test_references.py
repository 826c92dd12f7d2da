"""References belong to frames by number; what is there and fits no frame is an error."""

import json
import shutil
import tarfile

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.formats.poses import read_poses
from endosfm3d_ros.datasets.formats.references import numbered
from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.datasets.published.c3vd import C3VDSequence
from endosfm3d_ros.datasets.published.omnidirectional import OmnidirectionalCamera
from endosfm3d_ros.datasets.published.scared_files import NumberedFiles
from endosfm3d_ros.errors import InputError

LENS = OmnidirectionalCamera(135, 108, 67.9, 54.3, (76.9, 0.0, -8.1e-3, 6e-5, -1.2e-6),
                             (0.99999, 0.0029, -0.003))  # fmt: skip


def said(sequence, text):
    return any(text in str(entry) for entry in sequence.report.entries)


# --- C3VD ------------------------------------------------------------------------------------


def colon(folder, numbers, lines, digits=4):
    """A C3VD folder whose frame n stands at x = n mm, 10 + n / 10 mm from the wall."""
    folder.mkdir()
    image = np.full((LENS.height, LENS.width, 3), 90, np.uint8)
    for n in numbers:
        name = f"{n:0{digits}d}"
        cv2.imwrite(str(folder / f"{name}_color.png"), image)
        units = round((10 + n / 10) / 100 * 65535)
        depth = np.full((LENS.height, LENS.width), units, np.uint16)
        cv2.imwrite(str(folder / f"{name}_depth.tiff"), depth)
    rows = []
    for x in lines:
        T = np.eye(4)
        T[0, 3] = x
        rows.append(",".join(map(str, T.T.ravel())))
    if rows:
        (folder / "pose.txt").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize(
    ("numbers", "lines", "digits"),
    [
        ([0, 1, 2, 4, 5], range(6), 4),  # a frame is missing, its pose is not
        ([0, 2, 4], range(5), 4),  # every second one was deleted
        ([0, 30, 60], (0, 30, 60), 1),  # as published: 0_color.png, 30_color.png ..
        ([0, 30, 60], range(61), 1),
        ([1, 2, 3], (1, 2, 3), 4),  # counted from 1, one line an image
        ([8, 9, 10], range(11), 1),  # names that do not sort like numbers
    ],
)
def test_poses_and_depth_of_c3vd_go_by_number(tmp_path, numbers, lines, digits):
    sequence = C3VDSequence(colon(tmp_path / "c", numbers, lines, digits), lens=LENS)
    assert len(list(sequence)) == len(numbers)
    for i, number in enumerate(numbers):
        assert sequence.number(i) == number
        assert sequence.reference_pose(i)[0, 3] == pytest.approx(number * 1e-3)
        assert np.nanmedian(sequence.reference_depth(i)) == pytest.approx(
            0.01 + number * 1e-4, abs=1e-6
        )


@pytest.mark.parametrize("count", [2, 3, 4])
def test_poses_that_could_be_of_any_frame_are_refused(tmp_path, count):
    folder = colon(tmp_path / "c", [0, 1, 5, 6], range(count))
    with pytest.raises(InputError, match=f"{count} poses for 4 images numbered 0 to 6"):
        C3VDSequence(folder, lens=LENS)


def test_depth_of_other_numbers_is_refused(tmp_path):
    folder = colon(tmp_path / "c", [0, 1], ())
    for n in (0, 1):
        (folder / f"000{n}_depth.tiff").rename(folder / f"010{n}_depth.tiff")
    with pytest.raises(InputError, match=r"belongs to no frame: it has 2 numbers, 100 to 101"):
        C3VDSequence(folder, lens=LENS)


def test_two_files_of_one_number_are_refused(tmp_path):
    folder = colon(tmp_path / "c", [3], ())
    shutil.copy(folder / "0003_color.png", folder / "3_color.png")
    with pytest.raises(InputError, match=r"two files of number 3: 0003_color.png and 3_color.png"):
        C3VDSequence(folder, lens=LENS)


@pytest.mark.parametrize("text", ["1,2,3\n", "a" * 20, ",".join(["nan"] * 16), "\xff\xfe"])
def test_a_pose_file_that_is_none_is_one_sentence(tmp_path, text):
    folder = colon(tmp_path / "c", [0], ())
    (folder / "pose.txt").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=r"pose.txt"):
        C3VDSequence(folder, lens=LENS)


# --- SCARED ----------------------------------------------------------------------------------


def references(folder, packed, numbers=range(4)):
    """`frame_data` and `scene_points` beside a keyframe's video, packed or not."""
    for name, suffix in (("frame_data", ".json"), ("scene_points", ".tiff")):
        loose = folder / "data" / name
        loose.mkdir()
        for i in numbers:
            T = np.eye(4)
            T[0, 3] = 2.0 * i
            content = json.dumps({"camera-pose": T.tolist()}).encode()
            if suffix == ".tiff":
                points = np.full((96, 64, 3), 50.0 + i, np.float32)
                plain = [cv2.IMWRITE_TIFF_COMPRESSION, 1]
                content = cv2.imencode(".tiff", points, plain)[1].tobytes()
            (loose / f"{name}{i:06d}{suffix}").write_bytes(content)
        if packed:
            with tarfile.open(folder / "data" / f"{name}.tar.gz", "w:gz") as archive:
                for path in sorted(loose.iterdir()):
                    archive.add(path, path.name)
            shutil.rmtree(loose)


@pytest.fixture
def keyframe(tmp_path):
    folder = tmp_path / "dataset_1" / "keyframe_1"
    (folder / "data").mkdir(parents=True)
    codec = cv2.VideoWriter_fourcc(*"mp4v")
    video = cv2.VideoWriter(str(folder / "data" / "rgb.mp4"), codec, 25, (64, 96))
    for i in range(4):
        video.write(np.full((96, 64, 3), 40 * i, np.uint8))
    video.release()
    storage = cv2.FileStorage(str(folder / "endoscope_calibration.yaml"), cv2.FILE_STORAGE_WRITE)
    K, D = np.array([[50.0, 0, 32], [0, 50, 24], [0, 0, 1]]), np.zeros((1, 5))
    T = np.array([[-4.0], [0.0], [0.0]])
    for name, value in {"M1": K, "D1": D, "M2": K, "D2": D, "R": np.eye(3), "T": T}.items():
        storage.write(name, value)
    storage.release()
    return folder


@pytest.mark.parametrize("packed", [True, False])
def test_packed_and_unpacked_references_are_alike(keyframe, packed):
    references(keyframe, packed)
    sequence = open_sequence(keyframe)
    for i in (0, 3, 1):
        assert sequence.reference_pose(i)[0, 3] == pytest.approx(-2e-3 * i)
        assert np.nanmedian(sequence.reference_depth(i)) == pytest.approx((50 + i) * 1e-3)


@pytest.mark.parametrize("packed", [True, False])
def test_gaps_in_scared_stay_gaps(keyframe, packed):
    references(keyframe, packed, numbers=(1, 3))
    sequence = open_sequence(keyframe)
    assert sequence.reference_depth(0) is None and sequence.reference_pose(2) is None
    assert np.nanmedian(sequence.reference_depth(3)) == pytest.approx(0.053)
    assert sequence.reference_pose(3)[0, 3] == pytest.approx(-6e-3)
    assert said(sequence, "for 2 of 4 frames")


def test_a_folder_of_references_without_any_is_refused(keyframe):
    references(keyframe, packed=False)
    for path in (keyframe / "data" / "scene_points").iterdir():
        path.rename(path.with_suffix(".npy"))
    with pytest.raises(InputError, match="scene_points is there, but belongs to no frame"):
        open_sequence(keyframe)


@pytest.mark.parametrize(
    "content", ["[]", "{}", '{"camera-pose": [1, 2]}', "{", '{"camera-pose": 1e999}']
)
def test_a_pose_that_is_none_is_one_sentence(keyframe, content):
    references(keyframe, packed=False)
    (keyframe / "data" / "frame_data" / "frame_data000002.json").write_text(content)
    with pytest.raises(InputError, match="frame_data frame 2 has no 4x4 camera-pose"):
        open_sequence(keyframe)


def test_an_archive_read_backwards_or_beyond_is_the_same(keyframe):
    references(keyframe, packed=True, numbers=(1, 2))
    files = NumberedFiles(keyframe / "data", "scene_points", ".tiff")
    contents = [files.read(i) for i in (0, 1, 2, 3, 2, 1)]
    assert [content is not None for content in contents] == [False, True, True, False, True, True]
    assert contents[1] == contents[5] != contents[2] == contents[4]


# --- StereoMIS and clips ---------------------------------------------------------------------


def test_poses_of_another_sequence_are_refused(stereomis):
    (stereomis.folder / "groundtruth.txt").write_text("500 0 0 0 0 0 0 1\n501 0 0 0 0 0 0 1\n")
    with pytest.raises(
        InputError, match=r"groundtruth.txt is there, but .* 500 to 501, .* 0 to 11"
    ):
        open_sequence(stereomis.folder)


def test_masks_without_number_are_refused(stereomis):
    stereomis.mask(3)
    mask = stereomis.folder / "masks" / "000003l.png"
    mask.rename(mask.with_name("third.png"))
    with pytest.raises(
        InputError, match="masks is there, but belongs to no frame: it has no numbers"
    ):
        open_sequence(stereomis.folder)


def test_gaps_in_stereomis_stay_gaps(stereomis):
    stereomis.truth()
    rows = (stereomis.folder / "groundtruth.txt").read_text().splitlines(keepends=True)
    (stereomis.folder / "groundtruth.txt").write_text("".join(rows[:4] + rows[7:]))
    sequence = open_sequence(stereomis.folder)
    assert sequence.reference_pose(4) is None
    assert sequence.reference_pose(8)[0, 3] == pytest.approx(0.008)
    assert said(sequence, "groundtruth.txt: for 9 of 12 frames")


@pytest.mark.parametrize(
    ("name", "content"),
    [("poses_ref.txt", "77 0 0 0 0 0 0 1\n"), ("intrinsics_ref.txt", "77 100 100 80 64\n")],
)
def test_tables_of_a_clip_that_fit_no_frame_are_refused(clip_folder, tmp_path, name, content):
    clip = shutil.copytree(clip_folder, tmp_path / "clip")
    (clip / name).write_text(content)
    with pytest.raises(InputError, match=f"{name} is there, but belongs to no frame"):
        open_sequence(clip)


def test_images_of_a_reference_that_cannot_be_read_are_refused(clip_folder, tmp_path):
    clip = shutil.copytree(clip_folder, tmp_path / "clip")
    for path in (clip / "depth_ref").iterdir():
        path.rename(path.with_suffix(".npy"))
    with pytest.raises(InputError, match="depth_ref is there, but belongs to no frame"):
        open_sequence(clip)


# --- tables ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0 0 0 0 0 0 0 1\n0 1 0 0 0 0 0 1\n", "line 2 .*frame 0 comes twice"),
        ("0.5 0 0 0 0 0 0 1\n", "line 1 .* is accepted"),
        ("-1 0 0 0 0 0 0 1\n", "line 1 .* is accepted"),
        ("1403636579.76 0 0 0 0 0 0 1\n", "line 1 .* is accepted"),  # times, as TUM writes them
        ("0 0 0 0 0 0 0 0\n", "frame 0: a quaternion of zeros"),
        ("1e999 0 0 0 0 0 0 1\n", "line 1 .* is accepted"),
    ],
)
def test_pose_tables_that_mean_something_else_are_refused(tmp_path, text, sentence):
    path = tmp_path / "poses.txt"
    path.write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_poses(path)


def test_separators_and_remarks_of_pose_tables(tmp_path):
    path = tmp_path / "poses.txt"
    path.write_text("\ufeff# head\n3,\t1 0 0 0 0 0 1 # still\n\n7.0 2 0 0 0 0 0 1\n", "utf-8")
    assert {n: T[0, 3] for n, T in read_poses(path).items()} == {3: 1.0, 7: 2.0}


def test_numbers_of_files(tmp_path):
    paths = [tmp_path / name for name in ("a_007.json", "b.json", "frame_data12.json")]
    assert numbered(paths) == {7: paths[0], 12: paths[2]}


def test_images_that_a_clip_leaves_out_are_said(clip_folder, tmp_path):
    clip = shutil.copytree(clip_folder, tmp_path / "clip")
    (clip / "left" / "000009.bmp").touch()
    assert said(open_sequence(clip), "1 files are left out, 000009.bmp among them")
