"""The pairs of `test/inputs/test_combinations.py` through a bag and a clip folder: same values."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from plane_scene import Plane, Rig, Sampling, encoded, eyes, infos

from endosfm3d_ros.datasets.clips.writer import write_clip
from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import FISHEYE, PinholeCamera
from endosfm3d_ros.sfm.depth.stereo import StereoSource

CAMERA = PinholeCamera(320, 256, 300.0, 300.0, 158.0, 129.0)
LENSES = {
    "none": CAMERA,
    "plumb_bob": replace(CAMERA, distortion=(-0.3, 0.1, 1e-3, -1e-3, 0.0)),
    "prism": replace(CAMERA, distortion=(-0.2, 0.1, 0, 0, 0, 0.01, 0, 0, 2e-3, 0, -2e-3, 1e-3)),
    "fisheye": replace(CAMERA, distortion=(0.01, -0.01, 0.0, 0.0), lens=FISHEYE),
}
TURN = se3.from_vectors(np.array([0.01, 0.005, -0.008]), np.zeros(3))[:3, :3]
PLANE = Plane(0.035, (0.2, -0.1))
CASES = [
    ("none", None, "bgr8", False),
    ("plumb_bob", Sampling(None, 2, "standard"), "bayer_rggb8", False),
    ("plumb_bob", None, "yuv422_yuy2", True),
    ("prism", Sampling((20, 10, 280, 240), 1, "own"), "rgb8", False),
    ("fisheye", Sampling((20, 10, 280, 240), 1, "standard"), "8UC3", False),
]


def bag_of(maker, path, lens, sampling, encoding, rectified, baseline=0.0055):
    rig = Rig(LENSES[lens], LENSES[lens], TURN, baseline)
    sampling = sampling or Sampling()
    word = "image_rect" if rectified else "image_raw"
    for i in range(2):
        sides = zip(("left", "right"), eyes(rig, PLANE, rectified), infos(rig, sampling))
        for side, image, info in sides:
            pixels, _ = encoded(sampling.image(image), encoding)
            height, width = sampling.image(image).shape[:2]
            stamp = (i + 1) * 10**9
            maker.image(
                f"/{side}/{word}", stamp, pixels, encoding,
                height=height, width=width, step=pixels.nbytes // height,
            )  # fmt: skip
            roi = {name: getattr(info.roi, name) for name in ("x_offset", "y_offset", "width",
                                                              "height")}  # fmt: skip
            fields = {name: np.asarray(getattr(info, name), float) for name in "dkrp"}
            names = ("width", "height", "distortion_model", "binning_x", "binning_y")
            fields |= {name: getattr(info, name) for name in names}
            maker.info(f"/{side}/camera_info", stamp, (1, 1), **fields)
            region = maker.rows[-1][1].roi
            for name, value in roi.items():
                object.__setattr__(region, name, value)
    return rig, maker.write(path)


def error_of(sequence, rig, sampling, rectified) -> float:
    """Median distance of the cloud from the plane, as a share of the depth."""
    frame = next(iter(sequence))
    found = StereoSource().estimate(frame, frame.stereo.left)
    rays = found.camera.rays()[::4, ::4].reshape(-1, 3).astype(float)
    pixels = frame.stereo.left.resized(*found.camera.size).project(rays)
    R, truth = np.eye(3), rig.left
    if sampling and sampling.crop:
        truth = truth.cropped(*sampling.crop)
    if rectified:
        R, truth = rig.rectification()[0], truth.undistorted()
    points = PLANE.meet(np.zeros(3), truth.resized(*found.camera.size).unproject(pixels) @ R) @ R.T
    z = found.depth[::4, ::4].reshape(-1, 1)
    return float(np.nanmedian(np.linalg.norm(rays * z - points, axis=1) / points[:, 2]))


@pytest.mark.parametrize(("lens", "sampling", "encoding", "rectified"), CASES)
def test_bag_and_folder_show_the_plane_where_it_is(
    maker, tmp_path, lens, sampling, encoding, rectified
):
    rig, path = bag_of(maker, tmp_path / "bag", lens, sampling, encoding, rectified)
    bag = open_sequence(path)
    assert error_of(bag, rig, sampling, rectified) < 0.01
    write_clip(bag, tmp_path / "clip", "png")
    clip = open_sequence(tmp_path / "clip")
    assert error_of(clip, rig, sampling, rectified) < 0.01
    assert clip.stereo.left == bag.stereo.left and clip.camera.lens == bag.camera.lens


def test_a_bag_with_millimetres_for_metres_is_refused_with_numbers(maker, tmp_path):
    _, path = bag_of(maker, tmp_path / "bag", "none", None, "rgb8", False, baseline=5.5)
    with pytest.raises(InputError, match=r"stereo baseline 5\.5 m: 0\.5 to 15 mm are accepted"):
        open_sequence(path)


def test_check_names_what_is_wrong_with_a_clip(run_command, maker, tmp_path, monkeypatch):
    """A clip in order; then its eyes exchanged, then its right eye turned."""
    monkeypatch.setenv("COLUMNS", "300")
    _, path = bag_of(maker, tmp_path / "bag", "plumb_bob", None, "rgb8", False)
    good = run_command("check", path)
    assert good.exit_code == 0, good.output
    assert "baseline 5.50 mm" in good.output
    folder = tmp_path / "clip"
    write_clip(open_sequence(path), folder, "png")
    (folder / "left").rename(folder / "kept")
    (folder / "right").rename(folder / "left")
    (folder / "kept").rename(folder / "right")
    swapped = run_command("check", folder)
    assert swapped.exit_code == 1 and "exchange left and right" in swapped.output
    for image in (folder / "left").glob("*.png"):
        shifted = np.roll(cv2.imread(str(image)), 9, axis=0)
        cv2.imwrite(str(folder / "right" / image.name), shifted)
    knocked = run_command("check", folder)
    assert knocked.exit_code == 1
    assert "px off their rows" in knocked.output
