"""What goes into and comes out of the networks, as arrays."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.networks import disparity_to_depth, intrinsics_from_q
from endosfm3d_ros.sfm.endosfm3d.arrays import (
    camera_of,
    inverse_depth,
    network_tensor,
    resized_image,
)

Q = np.array([[0.32, 0.52, 0.01, -0.02]], np.float32)


def test_inverse_depth_is_that_of_the_network():
    logit = np.linspace(-20, 20, 401, dtype=np.float32).reshape(1, 1, 1, -1)
    expected = disparity_to_depth(torch.sigmoid(torch.from_numpy(logit)))[0, 0].numpy()
    np.testing.assert_allclose(1 / inverse_depth(logit), expected, rtol=1e-5)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_answers_that_are_no_numbers_have_no_depth(value):
    logit = np.array([[[[value, -5.0]]]], np.float32)
    inverse = inverse_depth(logit)
    assert np.isnan(inverse[0, 0])
    assert 0 < inverse[0, 1] < 10


def test_far_depths_keep_their_digits():
    """Depths near 100 lie where half precision would merge them."""
    near, far = inverse_depth(np.array([[[[-8.0, -8.01]]]], np.float32))[0]
    assert 1 / far > 1 / near * 1.002


def test_network_tensor_is_rgb_in_0_1():
    image = np.zeros((2, 3, 3), np.uint8)
    image[0, 0] = (255, 51, 0)
    tensor = network_tensor(image)
    assert tensor.shape == (1, 3, 2, 3)
    assert tensor.dtype == np.float32
    np.testing.assert_allclose(tensor[0, :, 0, 0], [1, 0.2, 0], rtol=1e-6)


def lanczos(image, size):
    """Antialiased Lanczos-3 resampling as the published training used (Pillow's definition)."""
    for axis, new in enumerate(size):
        old = image.shape[axis]
        scale = old / new
        centres = (np.arange(new) + 0.5) * scale - 0.5
        offsets = (np.arange(old)[None] - centres[:, None]) / scale
        weights = np.where(np.abs(offsets) < 3, np.sinc(offsets) * np.sinc(offsets / 3), 0)
        weights /= weights.sum(axis=1, keepdims=True)
        image = np.moveaxis(np.tensordot(weights, image, axes=(1, axis)), 0, axis)
    return image


@pytest.mark.parametrize("factor", [2, 4])
def test_shrinking_comes_closest_to_the_training(factor):
    noise = np.random.default_rng(0).random((64 * factor, 80 * factor, 3))
    image = (255 * cv2.GaussianBlur(noise, (0, 0), 1.0)).astype(np.uint8)
    expected = lanczos(image.astype(float), (64, 80))

    def error(resized):
        return np.sqrt(np.mean((resized - expected) ** 2))

    ours = error(resized_image(image, (64, 80)).astype(float))
    for way in (cv2.INTER_NEAREST, cv2.INTER_CUBIC, cv2.INTER_LANCZOS4):
        assert ours < error(cv2.resize(image, (80, 64), interpolation=way).astype(float))


def test_enlarging_and_keeping(texture):
    assert resized_image(texture, texture.shape[:2]) is texture
    assert resized_image(texture, (300, 400)).shape == (300, 400, 3)


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3), np.float32)],
)
def test_other_images_are_rejected(image):
    with pytest.raises(InputError, match="accepted"):
        resized_image(image, (2, 2))


def test_camera_is_that_of_the_network_without_its_skew():
    expected = intrinsics_from_q(torch.from_numpy(Q), 320, 256)[0].numpy()
    camera = camera_of(Q, (256, 320))
    np.testing.assert_allclose(camera.K, expected, atol=1e-3)
    assert camera.K[0, 1] == camera.K[1, 0] == 0
    assert camera.size == (320, 256)


@pytest.mark.parametrize(
    "q",
    [
        [np.nan, 0.5, 0, 0],
        [np.inf, 0.5, 0, 0],
        [-0.25, 0.5, 0, 0],  # fx 0.25 W
        [0.3, -0.2, 0, 0],  # fy 0.3 H = 0.24 W
        [5.0, 0.5, 0, 0],
        [0.3, 7.0, 0, 0],
        [0.3, 0.5, 0.6, 0],  # centre outside the image
        [0.3, 0.5, 0, -0.6],
        [-3.0, -3.0, 0, 0],
    ],
)
def test_implausible_cameras_are_rejected(q):
    assert camera_of(np.array([q]), (256, 320)) is None


def test_the_camera_at_another_size_sees_the_same():
    """A point projects to the same place of the image, in half-pixel aware coordinates."""
    small = camera_of(Q, (256, 320))
    large = small.resized(1280, 1024)
    point = np.array([[0.1, -0.05, 1.0]])
    u, v = small.project(point)[0]
    np.testing.assert_allclose(large.project(point)[0], [4 * u + 1.5, 4 * v + 1.5])
    stretched = small.resized(1920, 1080)
    assert stretched.fx == pytest.approx(small.fx * 6)
    assert stretched.fy == pytest.approx(small.fy * 1080 / 256)
