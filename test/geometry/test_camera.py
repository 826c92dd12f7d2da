from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.geometry.undistortion import Undistorter

CAMERA = PinholeCamera(640, 512, 555.0, 560.0, 320.3, 250.1)
LENSES = [(), (-0.2, 0.05, 0.001, -0.002), (-0.2, 0.05, 0, 0, 0.01),
          (0.1, -0.05, 0.001, 0, 0.02, 0.01, -0.03, 0.005)]  # fmt: skip


@pytest.mark.parametrize("lens", LENSES)
def test_unproject_inverts_project(lens):
    camera = PinholeCamera(640, 512, 555.0, 560.0, 320.3, 250.1, lens)
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-0.3, 0.3, (50, 2)), np.ones(50)])
    assert np.allclose(camera.unproject(camera.project(points)), points, atol=1e-4)


def test_resizing_keeps_pixel_centres():
    """The left edge of the image stays its left edge: u = -0.5 in both sizes."""
    half = CAMERA.resized(320, 256)
    for u in (-0.5, 100.0, 639.5):
        ray = (u - CAMERA.cx) / CAMERA.fx
        assert half.fx * ray + half.cx == pytest.approx((u + 0.5) / 2 - 0.5)


def test_resizing_matches_an_area_resize_of_an_image():
    import cv2

    image = np.zeros((512, 640), np.float32)
    image[200:202, 300:302] = 1.0  # centred on (300.5, 200.5)
    small = cv2.resize(image, (320, 256), interpolation=cv2.INTER_AREA)
    v, u = np.unravel_index(small.argmax(), small.shape)
    ray = CAMERA.unproject(np.array([[300.5, 200.5]]))
    assert np.allclose(CAMERA.resized(320, 256).project(ray), [[u, v]])


def test_cropping_shifts_the_principal_point():
    crop = CAMERA.cropped(100, 50, 200, 200)
    point = np.array([[0.01, 0.02, 0.5]])
    assert np.allclose(crop.project(point), CAMERA.project(point) - (100, 50))


def test_points_behind_the_camera_have_no_pixel():
    assert np.isnan(CAMERA.project(np.array([[0, 0, -1.0], [0, 0, 0]]))).all()


def test_rays_of_every_pixel():
    rays = CAMERA.rays()
    assert rays.shape == (512, 640, 3)
    assert np.allclose(CAMERA.project(rays[100, 200]), [[200, 100]], atol=1e-4)


@pytest.mark.parametrize(
    "values,reason",
    [
        ((0, 512, 500, 500, 320, 256), "0x512"),
        ((640, 512, 0, 500, 320, 256), "focal lengths"),
        ((640, 512, 500, float("nan"), 320, 256), "finite"),
        ((640, 512, 500, 500, 320, 256, (1.0, 2.0)), "2 distortion coefficients"),
    ],
)
def test_unusable_cameras_are_refused_with_the_value(values, reason):
    with pytest.raises(InputError, match=reason):
        PinholeCamera(*values)


def test_undistortion_straightens_what_the_lens_bent():
    lens = (-0.3, 0.1, 0.0, 0.0)
    bent = PinholeCamera(320, 256, 260, 260, 160, 128, lens)
    corner = np.array([[0.5, 0.4, 1.0]])
    image = np.zeros((256, 320, 3), np.uint8)
    u, v = np.round(bent.project(corner)[0]).astype(int)
    image[v - 1 : v + 2, u - 1 : u + 2] = 255
    straight = Undistorter().apply(image, bent)
    v, u = np.argwhere(straight[..., 0] > 128).mean(axis=0)
    assert np.allclose([u, v], bent.undistorted().project(corner)[0], atol=1.5)
    assert np.abs(bent.project(corner) - bent.undistorted().project(corner)).max() > 5
