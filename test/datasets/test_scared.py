"""SCARED keyframe folders: stacked eyes, millimetres, inverse poses, reversed channels."""

import io
import json
import tarfile

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.datasets.published.scared import SCAREDSequence
from endosfm3d_ros.errors import InputError

WIDTH, HEIGHT, FRAMES = 64, 48, 4


def add(archive, name, content):
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "dataset_3" / "keyframe_2"
    (folder / "data").mkdir(parents=True)
    fourcc = cv2.VideoWriter_fourcc(*"mp4v")
    video = cv2.VideoWriter(str(folder / "data/rgb.mp4"), fourcc, 25, (WIDTH, 2 * HEIGHT))
    for i in range(FRAMES):
        top = np.full((HEIGHT, WIDTH, 3), 40 * (i + 1), np.uint8)
        video.write(np.vstack([top, top // 2]))
    video.release()
    storage = cv2.FileStorage(str(folder / "endoscope_calibration.yaml"), cv2.FILE_STORAGE_WRITE)
    K = np.array([[50.0, 0, 30], [0, 51, 24], [0, 0, 1]])
    D = np.array([[0.01, -0.02, 0, 0, 0.003]])
    matrices = {"R": np.eye(3), "T": np.array([[-4.1], [0.0], [0.0]])}
    for name, value in (matrices | {"M1": K, "M2": K, "D1": D, "D2": D}).items():
        storage.write(name, value)
    storage.release()
    with tarfile.open(folder / "data/frame_data.tar.gz", "w:gz") as archive:
        for i in range(FRAMES):
            T = np.eye(4)
            T[0, 3] = 2.0 * i  # world points move to the right, so the camera to the left
            content = json.dumps({"camera-pose": T.tolist()}).encode()
            add(archive, f"frame_data{i:06d}.json", content)
    with tarfile.open(folder / "data/scene_points.tar.gz", "w:gz") as archive:
        for i in range(FRAMES):
            points = np.zeros((2 * HEIGHT, WIDTH, 3), np.float32)
            points[:HEIGHT, :, 0] = 50 + i  # OpenCV stores the reversed order: z comes last
            points[:HEIGHT, :, 2] = 7
            points[0] = 0
            plain = [cv2.IMWRITE_TIFF_COMPRESSION, 1]  # the default for floats is lossy
            content = cv2.imencode(".tiff", points, plain)[1].tobytes()
            add(archive, f"scene_points{i:06d}.tiff", content)
    return folder


def test_a_keyframe_folder_is_read(folder):
    sequence = open_sequence(folder, start=7)
    assert isinstance(sequence, SCAREDSequence)
    assert (sequence.name, sequence.fps, len(sequence)) == ("dataset_3_keyframe_2", 25, FRAMES)
    frames = list(sequence)
    assert [frame.stamp for frame in frames] == [7 + 40_000_000 * i for i in range(FRAMES)]
    assert frames[2].image.shape == (HEIGHT, WIDTH, 3)
    assert frames[2].image.mean() == pytest.approx(120, abs=3)
    assert frames[2].right_image.mean() == pytest.approx(60, abs=3)
    assert sequence.stereo.baseline == pytest.approx(4.1e-3)
    assert sequence.camera.distortion == (0.01, -0.02, 0, 0, 0.003)


def test_poses_are_camera_to_world_in_metres(folder):
    T = open_sequence(folder).reference_pose(3)
    np.testing.assert_allclose(T[:3, 3], [-0.006, 0, 0])


def test_depth_is_z_of_the_left_eye_in_metres_and_in_any_order(folder):
    sequence = open_sequence(folder)
    for i in (1, 3, 0, 0):
        depth = sequence.reference_depth(i)
        assert depth.shape == (HEIGHT, WIDTH)
        assert np.isnan(depth[0]).all()
        np.testing.assert_allclose(depth[1:], (50 + i) * 1e-3, rtol=1e-6)
    assert sequence.reference_depth(9) is None


def test_a_folder_without_references_is_a_video(folder):
    (folder / "data/scene_points.tar.gz").unlink()
    (folder / "data/frame_data.tar.gz").unlink()
    sequence = open_sequence(folder)
    assert sequence.reference_depth(0) is None
    assert sequence.reference_pose(0) is None


def test_what_is_wrong_is_named(folder):
    (folder / "data/frame_data.tar.gz").write_bytes(b"no archive")
    with pytest.raises(InputError, match=r"frame_data\.tar\.gz is no readable archive"):
        open_sequence(folder).reference_pose(0)
    calibration = folder / "endoscope_calibration.yaml"
    calibration.write_text(calibration.read_text().replace("M2:", "K2:"))
    with pytest.raises(InputError, match=r"endoscope_calibration\.yaml has no M2"):
        open_sequence(folder)
