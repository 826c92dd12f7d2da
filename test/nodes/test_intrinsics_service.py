"""The mode of the intrinsics over DDS, changed while images come."""

import numpy as np
import pytest
from endosfm3d_ros.msg import IntrinsicsEstimate
from endosfm3d_ros.srv import SetIntrinsicsMode
from node_harness import STEREO_TOPICS

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import Frame, StereoGeometry

CAMERA = PinholeCamera(160, 128, 150.0, 150.0, 80.0, 64.0)


def stereo_frame(i: int) -> Frame:
    """A textured plane at 50 mm: the right picture is the left one shifted by 12 px."""
    rng = np.random.default_rng(0)
    wide = np.kron(rng.integers(40, 220, (32, 43)), np.ones((4, 4))).astype(np.uint8)
    pictures = [np.repeat(wide[:128, x : x + 160, None], 3, axis=2) for x in (0, 12)]
    P = np.column_stack([CAMERA.K, np.zeros(3)])
    P_right = P.copy()
    P_right[0, 3] = -CAMERA.fx * 0.004
    geometry = StereoGeometry(CAMERA, CAMERA, np.eye(3), P, np.eye(3), P_right)
    stamp = 5 * 10**9 + i * 10**8
    return Frame(stamp, pictures[0], "left", CAMERA, pictures[1], geometry)


def test_the_mode_changes_between_two_frames_and_unknown_ones_are_refused(start_node, probe):
    start_node(intrinsics_mode="estimate")
    probe.collect("intrinsics", IntrinsicsEstimate)
    probe.connect(*STEREO_TOPICS)

    def after(i: int) -> IntrinsicsEstimate:
        frame = stereo_frame(i)
        probe.send_stereo(frame)
        assert probe.wait(lambda: frame.stamp in probe.stamps("intrinsics"))
        return probe.messages["intrinsics"][-1]

    first = after(0)
    assert (first.mode, first.fx) == ("estimate", pytest.approx(0.82 * 160))
    answer = probe.call("set_intrinsics_mode", SetIntrinsicsMode, mode="fixed")
    assert answer.success, answer.message
    fixed = after(1)
    assert (fixed.mode, fixed.state, fixed.fx) == ("fixed", "fixed", pytest.approx(150.0))
    assert not any(fixed.covariance)
    answer = probe.call("set_intrinsics_mode", SetIntrinsicsMode, mode="guess")
    assert not answer.success and "auto, estimate, prior, fixed" in answer.message
    assert after(2).mode == "fixed"
