"""No depth in the black around a round view."""

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.depth.view import surround, within_view
from endosfm3d_ros.types import DepthMap, ScaleSource

HEIGHT, WIDTH = 128, 160
V, U = np.mgrid[:HEIGHT, :WIDTH]
DISC = np.hypot(U - 80, V - 64) < 60
PICTURE = np.random.default_rng(0).integers(60, 200, (HEIGHT, WIDTH, 3), np.uint8)


def test_depth_ends_where_the_round_view_ends():
    noise = np.random.default_rng(1).integers(0, 8, PICTURE.shape, np.uint8)
    image = np.where(DISC[..., None], PICTURE, noise)
    full = np.full((HEIGHT, WIDTH), 0.05, np.float32)
    camera = PinholeCamera.default(WIDTH, HEIGHT)
    depth = DepthMap(full, np.ones_like(full), camera, "shading", ScaleSource.RELATIVE, 1)
    seen = within_view(depth, image)
    assert (seen.valid == DISC).mean() > 0.99
    assert (seen.confidence[~seen.valid] == 0).all()


def test_shadow_inside_and_small_dark_corners_are_picture():
    image = PICTURE.copy()
    image[np.hypot(U - 80, V - 64) < 20] = 0  # a lumen
    image[:5, :5] = 0
    assert surround(image) is None
    assert surround(PICTURE) is None
