"""Generated depth images beside a picture: one list for every way into the package."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from types import SimpleNamespace

import cv2
import numpy as np
from hypothesis import strategies as st
from plane_scene import Plane, Rig, compressed_message, depth_of, infos, picture

from endosfm3d_ros.geometry.camera import FISHEYE, PINHOLE, PinholeCamera
from endosfm3d_ros.runtime.timing import StageClock
from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig
from endosfm3d_ros.sfm.config import EstimatorConfig
from endosfm3d_ros.sfm.estimator import Estimator
from endosfm3d_ros.types import Frame

WIDTH, HEIGHT = 160, 128
WITHIN = 0.01  # of the depth
CAMERA = PinholeCamera(WIDTH, HEIGHT, 150.0, 150.0, 79.0, 65.0)
LENSES = (
    ((), PINHOLE),
    ((-0.3, 0.1, 0.0, 0.0, 0.0), PINHOLE),
    ((-0.2, 0.1, 0, 0, 0, 0.01, 0, 0, 2e-3, 0, -2e-3, 1e-3), PINHOLE),
    ((0.01, -0.01, 0.0, 0.0), FISHEYE),
)
SIZES = ((160, 128), (80, 64), (320, 256), (160, 120), (128, 128), (16, 13))
RAW = ("32FC1", "64FC1", "16UC1", "mono16")
PACKED = (
    "16UC1; compressedDepth png", "32FC1; compressedDepth png", "16UC1; compressedDepth rvl",
    "32FC1; compressedDepth rvl", "16UC1; png compressed ",
)  # fmt: skip
FURTHEST = 100.0  # m, compressedDepth/depth_max of compressed_depth_image_transport


@dataclass(frozen=True)
class DepthCase:
    """A picture of a plane, and depth as a sender of an encoding, size and unit means it."""

    lens: tuple[tuple[float, ...], str]
    size: tuple[int, int]
    encoding: str
    unit: float  # 1: as the encoding says
    plane: Plane
    quantisation: int  # compressedDepth/depth_quantization: 100 wraps around within 154 mm

    @property
    def camera(self) -> PinholeCamera:
        return replace(CAMERA, distortion=self.lens[0], lens=self.lens[1])

    def picture(self) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return picture(self.camera, self.plane, np.eye(3), np.zeros(3))

    def info(self) -> SimpleNamespace:
        """camera_info of the picture."""
        return infos(Rig(self.camera, self.camera))[0]

    def message(self) -> SimpleNamespace:
        """The depth image."""
        depth = depth_of(self.camera, self.plane)
        sent = cv2.resize(depth, self.size, interpolation=cv2.INTER_LINEAR)
        return depth_message(sent * self.unit, self.encoding, self.quantisation)

    @property
    def must_be_read(self) -> bool:
        """Whether nothing is wrong with it."""
        whole = self.quantisation < 10 or not self.encoding.startswith("32FC1; compressedDepth")
        return self.unit == 1 and self.size in SIZES[:3] and whole


# Not of thousandths of metres quantised: they wrap around at the sender, before anybody sees them.
depth_cases = st.builds(
    DepthCase,
    st.sampled_from(LENSES),
    st.sampled_from((SIZES[0], SIZES[0], *SIZES)),
    st.sampled_from((*RAW, *PACKED)),
    st.sampled_from((1.0, 1.0, 1.0, 1e3, 1e-3)),
    st.builds(Plane, st.floats(0.06, 0.2), st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))),
    st.sampled_from((7, 7, 100)),
).filter(lambda case: not (case.unit < 1 and case.encoding.startswith("32FC1; compressedDepth")))


def depth_message(depth: np.ndarray, encoding: str, quantisation: int = 7) -> SimpleNamespace:
    """An Image or CompressedImage of (H, W) metres."""
    millimetres = np.clip(depth * 1e3, 0, 65535).round().astype(np.uint16)
    if "compressed" in encoding:
        return compressed_message(
            packed_depth(depth, millimetres, encoding, quantisation), encoding
        )
    kinds = {"32FC1": np.float32, "64FC1": np.float64}
    plane = depth.astype(kinds[encoding]) if encoding in kinds else millimetres
    big = encoding == "mono16"
    raw = plane.astype(plane.dtype.newbyteorder(">")) if big else plane
    return SimpleNamespace(
        height=plane.shape[0], width=plane.shape[1], encoding=encoding, step=plane.strides[0],
        is_bigendian=int(big), data=np.frombuffer(raw.tobytes(), np.uint8),
    )  # fmt: skip


def packed_depth(
    depth: np.ndarray, millimetres: np.ndarray, encoding: str, quantisation: int
) -> bytes:
    """The data of a message of compressed_depth_image_transport or of a plain PNG."""
    if "png compressed" in encoding:
        return cv2.imencode(".png", millimetres)[1].tobytes()
    values, a, b = millimetres, 0.0, 0.0
    if encoding.startswith("32FC1"):
        a = quantisation * (quantisation + 1.0)
        b = 1 - a / FURTHEST
        steps = np.where(depth < FURTHEST, a / np.maximum(depth, 1e-6) + b, 0)
        values = (steps.astype(np.int64) & 0xFFFF).astype(np.uint16)  # as C does
    head = struct.pack("<iff", 0, a, b)
    if "rvl" in encoding:
        return head + struct.pack("<II", *values.shape[::-1]) + rvl_of(values)
    return head + cv2.imencode(".png", values)[1].tobytes()


def rvl_of(values: np.ndarray) -> bytes:
    """Runs of zeros and of steps between values, in nibbles of three bits and one that goes on."""
    nibbles: list[int] = []
    last, at, flat = 0, 0, values.ravel().astype(int).tolist()

    def put(number: int) -> None:
        while True:
            number, low = number >> 3, number & 7
            nibbles.append(low | (8 if number else 0))
            if not number:
                return

    while at < len(flat):
        start = at
        while at < len(flat) and flat[at] == 0:
            at += 1
        put(at - start)
        start = at
        while at < len(flat) and flat[at] != 0:
            at += 1
        put(at - start)
        for value in flat[start:at]:
            step = value - last
            put((step << 1) ^ (step >> 63))
            last = value
    nibbles += [0] * (-len(nibbles) % 8)
    words = np.array(nibbles, np.uint64).reshape(-1, 8) << np.arange(28, -1, -4, dtype=np.uint64)
    return words.sum(axis=1).astype("<u4").tobytes()


def depth_error(
    image: np.ndarray, camera: PinholeCamera, depth: np.ndarray, case: DepthCase
) -> tuple[float, float]:
    """(median error of the depth that a stream gets, share of pixels that have any)."""
    config = EstimatorConfig(depth_source="topic", intrinsics=IntrinsicsConfig(mode="fixed"))
    frame = Frame(1, image, camera=camera, depth=depth)
    found = Estimator(config).estimate(frame, StageClock()).depth
    truth = depth_of(found.camera, case.plane)
    return float(np.nanmedian(np.abs(found.depth / truth - 1))), found.coverage


def require_right_depth(case: DepthCase, error: float, coverage: float) -> str:
    """The word "right", or an assertion that tells the case."""
    assert error < WITHIN and coverage > 0.5 and case.unit == 1.0, (case, error, coverage)
    return "right"
