"""Generated depth images of lenses, sizes, encodings and units: right to 1 %, or refused."""

from __future__ import annotations

import struct
from collections import Counter
from types import SimpleNamespace

import cv2
import numpy as np
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from plane_scene import Plane, compressed_message, depth_of, picture

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import FISHEYE, PINHOLE, PinholeCamera
from endosfm3d_ros.inputs.pixels import PixelReader
from endosfm3d_ros.inputs.plausibility import require_depth_fits
from endosfm3d_ros.runtime.timing import StageClock
from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig
from endosfm3d_ros.sfm.estimator import Estimator, EstimatorConfig
from endosfm3d_ros.types import Frame

WIDTH, HEIGHT = 160, 128
LENSES = (
    ((), PINHOLE),
    ((-0.3, 0.1, 0.0, 0.0, 0.0), PINHOLE),
    ((-0.2, 0.1, 0, 0, 0, 0.01, 0, 0, 2e-3, 0, -2e-3, 1e-3), PINHOLE),
    ((0.01, -0.01, 0.0, 0.0), FISHEYE),
)
SIZES = ((160, 128), (80, 64), (320, 256), (160, 120), (128, 128), (16, 13))
PLANES = st.builds(
    Plane, st.floats(0.06, 0.2), st.tuples(st.floats(-0.3, 0.3), st.floats(-0.3, 0.3))
)


def message_of(depth: np.ndarray, encoding: str) -> SimpleNamespace:
    """Depth in metres, as a sender of this encoding means it."""
    millimetres = np.clip(depth * 1e3, 0, 65535).round().astype(np.uint16)
    if "compressed" in encoding:
        head = b"" if "png compressed" in encoding else struct.pack("<iff", 0, 0.0, 0.0)
        return compressed_message(head + cv2.imencode(".png", millimetres)[1].tobytes(), encoding)
    kinds = {"32FC1": np.float32, "64FC1": np.float64}
    plane = depth.astype(kinds[encoding]) if encoding in kinds else millimetres
    big = encoding == "mono16"
    raw = plane.astype(plane.dtype.newbyteorder(">")) if big else plane
    return SimpleNamespace(
        height=plane.shape[0], width=plane.shape[1], encoding=encoding, step=plane.strides[0],
        is_bigendian=int(big), data=np.frombuffer(raw.tobytes(), np.uint8),
    )  # fmt: skip


def test_depth_is_of_the_pixels_of_the_picture_or_refused():
    outcomes = Counter()

    @settings(max_examples=60, deadline=None, derandomize=True, database=None,
              phases=(Phase.generate,), suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(
        st.sampled_from(LENSES),
        st.sampled_from(SIZES),
        st.sampled_from(("32FC1", "64FC1", "16UC1", "mono16", "16UC1; compressedDepth png",
                         "16UC1; png compressed ")),
        st.sampled_from((1.0, 1.0, 1.0, 1e3, 1e-3)),
        PLANES,
    )  # fmt: skip
    def every(lens, size, encoding, unit, plane):
        camera = PinholeCamera(WIDTH, HEIGHT, 150.0, 150.0, 79.0, 65.0, *lens)
        image = picture(camera, plane, np.eye(3), np.zeros(3))
        sent = cv2.resize(depth_of(camera, plane), size, interpolation=cv2.INTER_LINEAR)
        try:
            depth = PixelReader("/depth").depth(message_of(sent * unit, encoding))
            require_depth_fits(depth, (WIDTH, HEIGHT))
        except InputError:
            outcomes["refused"] += 1
            return
        config = EstimatorConfig(depth_source="topic", intrinsics=IntrinsicsConfig(mode="fixed"))
        frame = Frame(1, image, camera=camera, depth=depth)
        found = Estimator(config).estimate(frame, StageClock()).depth
        error = np.nanmedian(np.abs(found.depth / depth_of(found.camera, plane) - 1))
        assert error < 0.01 and found.coverage > 0.5 and unit == 1.0
        outcomes["right"] += 1

    every()
    assert outcomes["right"] > 15, outcomes
