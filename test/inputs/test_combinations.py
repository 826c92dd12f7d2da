"""Generated cameras, lenses, crops, binnings, encodings and names: right to 1 %, or refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from plane_scene import (
    Plane,
    Rig,
    Sampling,
    compressed_message,
    eyes,
    infos,
    raw_message,
)

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import FISHEYE, PINHOLE, PinholeCamera
from endosfm3d_ros.inputs.contract import CameraContract, EyeTopics
from endosfm3d_ros.inputs.pixels import PixelReader
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.sfm.depth.stereo import StereoSource
from endosfm3d_ros.types import Frame

WIDTH, HEIGHT = 320, 256
COMBINATIONS = 150  # at every run; with --slow 500
WITHIN = 0.01
ENCODINGS = (
    "rgb8", "bgr8", "rgba8", "bgra8", "mono8", "8UC1", "8UC3", "8UC4", "mono16", "16UC1", "rgb16",
    "bgr16", "yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21", "bayer_rggb8", "bayer_bggr8",
    "bayer_gbrg8", "bayer_grbg8", "bayer_rggb16",
)  # fmt: skip
FILES = ("jpeg", "png", "rgb8; jpeg compressed bgr8", "rgb8; png compressed bgr8")


def examples(count: int) -> settings:
    """The same ones at every run."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )


@st.composite
def lenses(draw: st.DrawFn) -> tuple[tuple[float, ...], str]:
    """Coefficients and model."""
    count = draw(st.sampled_from((0, 4, 5, 8, 12, 14, "fisheye")))
    small = st.floats(-0.01, 0.01)
    if count == "fisheye":
        return tuple(draw(small) for _ in range(4)), FISHEYE
    if count == 0:
        return (), PINHOLE
    k1 = draw(st.floats(-0.3, 0.1))
    values = [k1, draw(st.floats(-0.05, 0.1)), *(draw(st.floats(-2e-3, 2e-3)) for _ in range(2))]
    values += [draw(small) for _ in range(min(count, 8) - 4)]
    values += [draw(st.floats(-3e-3, 3e-3)) for _ in range(min(count, 12) - len(values))]
    values += [draw(st.floats(-0.02, 0.02)) for _ in range(count - len(values))]
    return tuple(values), PINHOLE


@st.composite
def rigs(draw: st.DrawFn) -> Rig:
    """Two eyes of one make, turned against each other by less than a degree."""
    distortion, lens = draw(lenses())
    focal = WIDTH * draw(st.floats(0.8, 1.2))
    cameras = []
    for _ in range(2):
        f = focal * draw(st.floats(0.98, 1.02))
        centre = [length * draw(st.floats(0.48, 0.52)) for length in (WIDTH, HEIGHT)]
        cameras.append(PinholeCamera(WIDTH, HEIGHT, f, f, *centre, distortion, lens))
    turn = np.array([draw(st.floats(-0.012, 0.012)) for _ in range(3)])
    R = se3.from_vectors(turn, np.zeros(3))[:3, :3]
    return Rig(*cameras, R, draw(st.floats(0.0045, 0.007)))


@st.composite
def samplings(draw: st.DrawFn) -> Sampling:
    """As the standard says, or as drivers do: K of the result beside roi and binning."""
    tells = draw(st.sampled_from(("standard", "own", "stale")))
    binning = draw(st.sampled_from((1, 1, 2)))
    if tells == "stale":  # noticed where the sensor is much larger than the result
        return Sampling(None, 2, tells)
    if tells == "own" or draw(st.booleans()):
        x, y = 2 * draw(st.integers(0, 20)), 2 * draw(st.integers(0, 16))
        return Sampling((x, y, WIDTH - 40, HEIGHT - 32), binning, tells)
    return Sampling(None, binning, tells)


planes = st.builds(
    Plane,
    st.floats(0.028, 0.042),
    st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3)),
)


def message_of(image: np.ndarray, encoding: str):
    if encoding in ENCODINGS:
        return raw_message(image, encoding, pad=6)
    suffix = ".png" if "png" in encoding else ".jpg"
    data = cv2.imencode(suffix, image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 97])[1].tobytes()
    return compressed_message(b"junk" + data + b"\0" * 3000, encoding)


def estimated(contract: CameraContract, left: np.ndarray, right: np.ndarray):
    """Depth as every stream gets it; InputError where it is refused."""
    contract.judge(left, right)
    if contract.stereo is None:
        raise InputError("; ".join(map(str, contract.report.entries)))
    frame = Frame(1, left, right_image=right, stereo=contract.stereo, camera=contract.camera)
    return StereoSource().estimate(frame, contract.stereo.left)


def error_of(found, contract: CameraContract, rig: Rig, plane: Plane, sampling: Sampling) -> float:
    """Median distance of the cloud's points from where they are, by their depth."""
    raw, z = contract.stereo.left, found.depth[::4, ::4].astype(float).ravel()
    rays = found.camera.rays()[::4, ::4].reshape(-1, 3).astype(float)
    pixels = raw.resized(*found.camera.size).project(rays)  # of the image that was sent
    R, truth = np.eye(3), sampled(rig.left, sampling)
    if contract.rectified:
        R, truth = rig.rectification()[0], truth.undistorted()
    truth = truth.resized(*found.camera.size)
    points = plane.meet(np.zeros(3), truth.unproject(pixels) @ R) @ R.T
    return float(np.nanmedian(np.linalg.norm(rays * z[:, None] - points, axis=1) / points[:, 2]))


def sampled(camera: PinholeCamera, sampling: Sampling) -> PinholeCamera:
    """The camera of the picture that is sent."""
    if sampling.crop:
        camera = camera.cropped(*sampling.crop)
    return camera.resized(camera.width // sampling.binning, camera.height // sampling.binning)


@dataclass(frozen=True)
class Case:
    """One stream of pairs. The topics are called by what they carry, or `named` is false."""

    rig: Rig
    plane: Plane
    sampling: Sampling
    encoding: str
    rectified: bool
    named: bool
    order: tuple[str, ...]


cases = st.builds(
    Case,
    rigs(),
    planes,
    samplings(),
    st.sampled_from((*ENCODINGS, *FILES)),
    st.booleans(),
    st.booleans(),
    st.permutations(["left", "right", "size"]),
)


def outcome(case: Case) -> str:
    """What becomes of a case: "right", "refused", or an assertion that fails."""
    report = InputReport()
    word = "image_rect" if case.rectified and case.named else "image"
    contract = CameraContract(
        EyeTopics(f"/left/{word}", "/left/camera_info"),
        EyeTopics(f"/right/{word}", "/right/camera_info"),
        report,
    )
    left, right = (
        PixelReader(f"/{eye}/{word}", report).picture(
            message_of(case.sampling.image(picture), case.encoding)
        )
        for eye, picture in zip(("left", "right"), eyes(case.rig, case.plane, case.rectified))
    )
    sent = dict(zip(("left", "right"), infos(case.rig, case.sampling)))
    for part in case.order:
        if part == "size":
            contract.set_size(left.shape[1::-1])
        else:
            contract.set_info(part, sent[part])
    try:
        found = estimated(contract, left, right)
    except InputError:
        return "refused"
    error = error_of(found, contract, case.rig, case.plane, case.sampling)
    assert error < WITHIN, f"{error:.1%}: {[str(entry) for entry in report.entries]}"
    return "right"


@pytest.mark.parametrize(
    "count", [COMBINATIONS, pytest.param(500, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]
)
def test_the_cloud_of_a_pair_is_right_or_refused(count):
    """Few may be refused: a door that is always shut lets nothing wrong through either."""
    outcomes = Counter()

    @examples(count)
    @given(cases)
    def every(case: Case) -> None:
        outcomes[outcome(case)] += 1

    every()
    assert outcomes["refused"] < 0.2 * outcomes["right"], outcomes
