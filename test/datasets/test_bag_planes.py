"""A plane before a pair, recorded raw or rectified: its depth out of the bag, as live."""

import numpy as np
import pytest
from plane_scene import Plane, Rig, encoded, eyes, infos

from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.depth.stereo import StereoSource

PLANE = Plane(distance=0.0375, slope=(0.1, -0.05))
TURN = se3.from_quaternion(np.zeros(3), np.array([0.0, 0.02, 0.0, 1.0]))[:3, :3]
RIG = Rig(
    left=PinholeCamera(320, 256, 300.0, 300.0, 163.0, 125.0, (-0.25, 0.1, 0.0, 0.0, 0.0)),
    right=PinholeCamera(320, 256, 298.0, 298.0, 158.0, 129.0, (-0.24, 0.1, 0.0, 0.0, 0.0)),
    R=TURN,
)


@pytest.mark.parametrize("encoding", ["rgb8", "yuv422_yuy2", "bayer_rggb8"])
@pytest.mark.parametrize(
    ("word", "rectified"), [("image_raw", False), ("image_rect_color", True), ("image", True)]
)
def test_depth_of_a_recorded_pair_is_that_of_the_plane(maker, tmp_path, word, rectified, encoding):
    """Both kinds come with the camera_info of the raw images, as image_proc passes it on."""
    pictures, sent = eyes(RIG, PLANE, rectified), infos(RIG)
    for i in range(3):
        for eye, picture, info in zip(("left", "right"), pictures, sent):
            calibration = {
                "d": np.array(info.d), "k": info.k, "r": info.r, "p": info.p,
                "distortion_model": info.distortion_model,
            }  # fmt: skip
            maker.info(f"/rig/{eye}/camera_info", i * 33_000_000, (320, 256), **calibration)
            pixels, _ = encoded(picture, encoding)
            size = {"height": 256, "width": 320, "step": pixels.nbytes // 256}
            maker.image(f"/rig/{eye}/{word}", i * 33_000_000, pixels, encoding, **size)
    sequence = open_sequence(maker.write(tmp_path / "bag"))
    frame = next(iter(sequence))
    assert sequence.camera.distorted != rectified
    found = StereoSource().estimate(frame, frame.stereo.left)
    R = RIG.rectification()[0] if rectified else np.eye(3)
    rays = found.camera.rays().reshape(-1, 3).astype(float)
    truth = (PLANE.meet(np.zeros(3), rays @ R) @ R.T)[:, 2].reshape(found.depth.shape)
    error = np.abs(found.depth / truth - 1)
    assert np.isfinite(error).mean() > 0.5 and np.nanmedian(error) < 0.01
