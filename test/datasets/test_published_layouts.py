"""Data sets in the layouts that others publish, generated exactly so: found, read, judged."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.errors import InputError

WIDTH, HEIGHT = 64, 48
COUNT = 3


def image(path: Path, value: int, size: tuple[int, int] = (WIDTH, HEIGHT)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = np.full((size[1], size[0], 3), (30, 90, value), np.uint8)
    assert cv2.imwrite(str(path), picture)


def plane(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), values)


def half(value: int, dtype: type, size: tuple[int, int] = (WIDTH, HEIGHT)) -> np.ndarray:
    """0 on the left, a value on the right."""
    values = np.zeros((size[1], size[0]), dtype)
    values[:, size[0] // 2 :] = value
    return values


def said(sequence) -> str:
    return " ".join(str(entry) for entry in sequence.report.entries)


@pytest.fixture
def endonerf(tmp_path) -> Path:
    for i in range(COUNT):
        image(tmp_path / "images" / f"frame-{i:06d}.color.png", 100 + i)
        plane(tmp_path / "gt_masks" / f"frame-{i:06d}.mask.png", half(255, np.uint8))
        plane(tmp_path / "depth" / f"frame-{i:06d}.depth.png", half(40, np.uint8))
    rows = np.zeros((COUNT, 17))
    pose = np.hstack([np.eye(3, 4), [[2 * HEIGHT], [2 * WIDTH], [100.0]]])
    rows[:, :15] = pose.ravel()
    np.save(tmp_path / "poses_bounds.npy", rows)
    return tmp_path


def test_endonerf_has_masks_and_the_camera_at_the_size_of_the_images(endonerf):
    sequence = open_sequence(endonerf)
    frames = list(sequence)
    assert len(frames) == COUNT and frames[1].image[0, 0].tolist() == [101, 90, 30]
    assert sequence.camera.fx == pytest.approx(50.0)
    assert sequence.camera.cx == pytest.approx((WIDTH - 1) / 2)
    assert sequence.mask(0)[:, WIDTH // 2 :].all() and not sequence.mask(0)[:, : WIDTH // 2].any()
    assert sequence.reference_depth(0) is None and "its steps have no unit" in said(sequence)


def test_endonerf_masks_of_another_count_are_refused(endonerf):
    next((endonerf / "gt_masks").iterdir()).unlink()
    with pytest.raises(InputError, match="3 images and 2 masks"):
        open_sequence(endonerf)


@pytest.mark.parametrize("nested", [False, True])
def test_hamlyn_has_depth_between_one_and_300_millimetres(tmp_path, nested):
    folder = tmp_path / "rectified08"
    inner = folder / "rectified08" if nested else folder
    for i in range(COUNT):
        image(inner / "image01" / f"{i:010d}.jpg", 100)
        image(inner / "image02" / f"{i:010d}.jpg", 100)
        depth = half(50, np.uint16)
        depth[0] = 301
        plane(inner / "depth01" / f"{i:010d}.png", depth)
    (inner / "intrinsics.txt").write_text("60.5 0 31 0\n0 60.5 24 0\n0 0 1 0\n")
    sequence = open_sequence(folder)
    assert sequence.name == "rectified08" and sequence.camera.fx == 60.5
    depth = sequence.reference_depth(2)
    assert np.nanmax(depth) == pytest.approx(0.05) and np.isnan(depth[0]).all()
    assert next(iter(sequence)).stereo is None and "how the eyes stand" in said(sequence)


def test_servct_stills_have_calibrations_of_their_own(tmp_path):
    for i in range(1, COUNT + 1):
        for side in ("Left", "Right"):
            image(tmp_path / f"{side}_rectified" / f"{i:03d}.png", 100)
        plane(tmp_path / "Ground_truth_CT" / "DepthL" / f"{i:03d}.png", half(50 * 256, np.uint16))
        P1 = [[60.0 + i, 0, 32, 0], [0, 60.0 + i, 24, 0], [0, 0, 1, 0]]
        P2 = [[60.0 + i, 0, 32, -5 * (60.0 + i)], *P1[1:]]
        path = tmp_path / "Rectified_calibration" / f"{i:03d}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps({"P1": {"data": np.ravel(P1).tolist()}, "P2": P2, "Q": []}))
    sequence = open_sequence(tmp_path)
    frames = list(sequence)
    assert [frame.camera.fx for frame in frames] == [61.0, 62.0, 63.0]
    assert frames[2].stereo.baseline == pytest.approx(0.005)
    assert frames[0].right_image is not None
    assert np.nanmedian(sequence.reference_depth(0)) == pytest.approx(0.05)
    assert np.isnan(sequence.reference_depth(0)[:, 0]).all()


def test_endovis_2017_is_cropped_and_its_tools_are_joined(tmp_path):
    size = (1920, 1080)
    for i in range(2):
        image(tmp_path / "left_frames" / f"frame{i:03d}.png", 100, size)
        image(tmp_path / "right_frames" / f"frame{i:03d}.png", 100, size)
        for tool, code in (("Left_Prograsp_Forceps_labels", 10), ("Other_labels", 30)):
            codes = np.zeros(size[::-1], np.uint8)
            codes[100 + code, 400:500] = code
            plane(tmp_path / "ground_truth" / tool / f"frame{i:03d}.png", codes)
    text = "Camera-0-F: 1068.4 1068.2\nCamera-0-C: 600.9 504.4\nCamera-1-F: 1 1\n"
    (tmp_path / "camera_calibration.txt").write_text(text)
    sequence = open_sequence(tmp_path)
    frame = next(iter(sequence))
    assert frame.image.shape == (1024, 1280, 3) and frame.camera.size == (1280, 1024)
    assert frame.camera.fx == 1068.4 and sequence.fps == 2.0
    assert sorted(np.unique(sequence.parts(1)).tolist()) == [0, 1, 3]
    assert sequence.mask(1)[110 - 28, 400 - 320] and sequence.mask(1).sum() == 200


def test_endovis_2018_is_read_without_its_coloured_labels(tmp_path):
    for i in range(2):
        image(tmp_path / "left_frames" / f"frame{i:03d}.png", 100)
        image(tmp_path / "labels" / f"frame{i:03d}.png", 7)
    sequence = open_sequence(tmp_path)
    assert sequence.mask(0) is None and sequence.camera is None
    assert "classes of tissue and tools" in said(sequence)


def camera_info(path: Path, baseline: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    P = [120.0, 0, 64, -120.0 * baseline, 0, 120.0, 48, 0, 0, 0, 1, 0]
    path.write_text(
        f"image_width: {2 * WIDTH}\nimage_height: {2 * HEIGHT}\n"
        f"projection_matrix:\n  rows: 3\n  cols: 4\n  data: {P}\n"
    )


def test_d4d_takes_the_calibration_of_its_session(tmp_path):
    clip = tmp_path / "specimen_1" / "session" / "clips" / "Clip_1"
    for name, time in zip("abc", (10, 12, 13)):
        for side in ("left", "right"):
            image(clip / f"{side}_images_rect" / f"{name}_{time}.png", 100)
        plane(clip / "left_images_rect_masks" / f"{name}_{time}.png", half(255, np.uint8))
    for side, baseline in (("left", 0.0), ("right", 0.004)):
        camera_info(tmp_path / "specimen_1" / "session" / "camera_info" / f"{side}.yaml", baseline)
    sequence = open_sequence(clip)
    frame = next(iter(sequence))
    assert frame.stereo.baseline == pytest.approx(0.004) and frame.camera.fx == 60.0
    assert sequence.mask(2).any() and len(sequence) == 3


@pytest.mark.parametrize("where", ["", "images", "left"])
def test_images_alone_are_enough(tmp_path, where):
    for number in (3, 4, 7):
        image(tmp_path / where / f"frame_{number:03d}.jpg", 100)
    sequence = open_sequence(tmp_path)
    frames = list(sequence)
    assert [sequence.number(i) for i in range(3)] == [3, 4, 7]
    assert np.diff([frame.stamp for frame in frames]).tolist() == [66_666_667, 200_000_000]
    assert sequence.camera is None and "the camera is estimated" in said(sequence)


def test_two_eyes_need_their_calibration(tmp_path):
    for side in ("left", "right"):
        image(tmp_path / side / "000001.png", 100)
        image(tmp_path / side / "000002.png", 100)
    with pytest.raises(InputError, match=r"calibration\.json"):
        open_sequence(tmp_path)


@pytest.mark.parametrize("name", ["intrinsics.txt", "camera_calibration.txt", "left.yaml"])
def test_a_damaged_calibration_is_one_sentence(tmp_path, name):
    if name == "intrinsics.txt":
        image(tmp_path / "image01" / "1.png", 1)
        (tmp_path / name).write_text("no matrix")
    elif name == "camera_calibration.txt":
        image(tmp_path / "left_frames" / "1.png", 1)
        (tmp_path / name).write_text("Camera-0-F: many few\n")
    else:
        image(tmp_path / "left_images_rect" / "1.png", 1)
        (tmp_path / "camera_info").mkdir()
        (tmp_path / "camera_info" / name).write_text("- no\n- camera")
    with pytest.raises(InputError, match=name.replace(".", r"\.")):
        open_sequence(tmp_path)
