"""Generated streams of pairs and of depth images: one list for every way into the package.

A way in makes messages or files of a `Case`, reads them, and asks `error_of` how far the cloud is
from the analytic plane. What cannot be read has to be refused with a reason.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

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

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import FISHEYE, PINHOLE, PinholeCamera
from endosfm3d_ros.sfm.depth.stereo import StereoSource
from endosfm3d_ros.types import DepthMap, Frame, StereoGeometry

WIDTH, HEIGHT = 320, 256
ALL = 500  # with --slow
WITHIN = 0.01  # of the depth
FEW = 0.2  # refused for each right one at most: a door that is always shut lets nothing wrong in
ENCODINGS = (
    "rgb8", "bgr8", "rgba8", "bgra8", "mono8", "8UC1", "8UC3", "8UC4", "mono16", "16UC1", "rgb16",
    "bgr16", "yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21", "bayer_rggb8", "bayer_bggr8",
    "bayer_gbrg8", "bayer_grbg8", "bayer_rggb16",
)  # fmt: skip
FILES = ("jpeg", "png", "rgb8; jpeg compressed bgr8", "rgb8; png compressed bgr8")


def generated(strategy: st.SearchStrategy, count: int) -> list[Any]:
    """The first `count` examples; the same ones at every run and for every way in."""
    found = []

    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(example: Any) -> None:
        found.append(example)

    collect()
    return found


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


@dataclass(frozen=True)
class Case:
    """One stream of pairs. The topics are called by what they carry, or `named` is false."""

    rig: Rig
    plane: Plane
    sampling: Sampling
    encoding: str
    rectified: bool
    named: bool
    order: tuple[str, ...]  # in which the calibrations and the size of the images come

    @property
    def word(self) -> str:
        """What the topics of the images are called."""
        return "image_rect" if self.rectified and self.named else "image"

    def pictures(self) -> list[np.ndarray]:
        """(H, W, 3) uint8 RGB of both eyes, as the sensor's driver sends them."""
        seen = eyes(self.rig, self.plane, self.rectified)
        return [self.sampling.image(picture) for picture in seen]

    def infos(self) -> tuple[SimpleNamespace, SimpleNamespace]:
        """camera_info of both eyes."""
        return infos(self.rig, self.sampling)

    @property
    def sent_camera(self) -> PinholeCamera:
        """The true camera of the left picture that is sent, if it is raw."""
        camera = self.rig.left
        if self.sampling.crop:
            camera = camera.cropped(*self.sampling.crop)
        by = self.sampling.binning
        return camera.resized(camera.width // by, camera.height // by)


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


def message_of(image: np.ndarray, encoding: str) -> SimpleNamespace:
    """An Image or CompressedImage, with padded rows or with other bytes around the file."""
    if encoding in ENCODINGS:
        return raw_message(image, encoding, pad=6)
    suffix = ".png" if "png" in encoding else ".jpg"
    data = cv2.imencode(suffix, image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 97])[1].tobytes()
    return compressed_message(b"junk" + data + b"\0" * 3000, encoding)


def estimated(left: np.ndarray, right: np.ndarray, stereo: StereoGeometry) -> DepthMap:
    """Depth of a pair as every stream gets it."""
    return StereoSource().estimate(
        Frame(1, left, right_image=right, stereo=stereo, camera=stereo.left), stereo.left
    )


def error_of(found: DepthMap, raw: PinholeCamera, case: Case) -> float:
    """Median distance of the cloud's points from where they are, by their depth.

    Args:
        found: depth and its camera.
        raw: the camera of the left picture as it was read.
        case: what was sent.
    """
    z = found.depth[::4, ::4].astype(float).ravel()
    rays = found.camera.rays()[::4, ::4].reshape(-1, 3).astype(float)
    pixels = raw.resized(*found.camera.size).project(rays)  # of the image that was sent
    R, truth = np.eye(3), case.sent_camera
    if case.rectified:
        R, truth = case.rig.rectification()[0], truth.undistorted()
    truth = truth.resized(*found.camera.size)
    points = case.plane.meet(np.zeros(3), truth.unproject(pixels) @ R) @ R.T
    return float(np.nanmedian(np.linalg.norm(rays * z[:, None] - points, axis=1) / points[:, 2]))


def require_right(error: float, case: Case, said: list) -> str:
    """The word "right", or an assertion that tells the case."""
    assert error < WITHIN, f"{error:.1%}: {case} {[str(entry) for entry in said]}"
    return "right"


def tally(way: str, outcomes: Iterable[str]) -> Counter[str]:
    """How often each outcome came; in the log, for `--log-cli-level=INFO`."""
    counts = Counter(outcomes)
    logging.getLogger(__name__).info("%s: %s", way, dict(counts))
    return counts


def few_or_all(count: int) -> list:
    """Arguments of `pytest.mark.parametrize`: a few examples at every run, all with --slow."""
    return [count, pytest.param(ALL, marks=[pytest.mark.slow, pytest.mark.timeout(3600)])]
