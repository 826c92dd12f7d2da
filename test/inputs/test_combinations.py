"""Generated cameras, lenses, crops, binnings, encodings and names: right to 1 %, or refused."""

from __future__ import annotations

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
from endosfm3d_ros.sfm.stereo import StereoSource
from endosfm3d_ros.types import Frame

WIDTH, HEIGHT = 384, 320
COMBINATIONS = 400  # of pairs; 100 more of depth images
WITHIN = 0.01
ENCODINGS = (
    "rgb8", "bgr8", "rgba8", "bgra8", "mono8", "8UC1", "8UC3", "8UC4", "mono16", "16UC1", "rgb16",
    "bgr16", "yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21", "bayer_rggb8", "bayer_bggr8",
    "bayer_gbrg8", "bayer_grbg8", "bayer_rggb16",
)  # fmt: skip
FILES = ("jpeg", "png", "rgb8; jpeg compressed bgr8", "rgb8; png compressed bgr8")
QUICK = settings(
    max_examples=COMBINATIONS,
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
    st.floats(0.03, 0.05),
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
    raw, z = contract.stereo.left, found.depth.astype(float).ravel()
    rays = found.camera.rays().reshape(-1, 3).astype(float)
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


OUTCOMES = {"right": 0, "refused": 0}


@QUICK
@given(
    rig=rigs(),
    plane=planes,
    sampling=samplings(),
    encoding=st.sampled_from((*ENCODINGS, *FILES)),
    rectified=st.booleans(),
    named=st.booleans(),
    order=st.permutations(["left", "right", "size"]),
)
def test_depth_of_a_pair_is_right_or_refused(
    rig, plane, sampling, encoding, rectified, named, order
):
    """The topic is called by what it is, or by the name of its base alone (`named` False)."""
    report = InputReport()
    word = "image_rect" if rectified and named else "image"
    contract = CameraContract(
        EyeTopics(f"/left/{word}", "/left/camera_info"),
        EyeTopics(f"/right/{word}", "/right/camera_info"),
        report,
    )
    pictures = [sampling.image(eye) for eye in eyes(rig, plane, rectified)]
    readers = [PixelReader(f"/{eye}/{word}", report) for eye in ("left", "right")]
    left, right = (
        reader.picture(message_of(image, encoding)) for reader, image in zip(readers, pictures)
    )
    sent = dict(zip(("left", "right"), infos(rig, sampling)))
    for part in order:
        if part == "size":
            contract.set_size(left.shape[1::-1])
        else:
            contract.set_info(part, sent[part])
    try:
        found = estimated(contract, left, right)
    except InputError:
        OUTCOMES["refused"] += 1
        return
    assert error_of(found, contract, rig, plane, sampling) < WITHIN, (
        f"{sampling} {encoding} rectified {rectified} named {named}: {report.entries}"
    )
    OUTCOMES["right"] += 1


def test_few_of_them_were_refused():
    """A door that is always shut lets nothing wrong through either."""
    if sum(OUTCOMES.values()) < COMBINATIONS // 2:
        pytest.skip("the combinations were not run")
    assert OUTCOMES["refused"] < 0.25 * sum(OUTCOMES.values()), OUTCOMES
