"""PSNR and SSIM against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.evaluation.metrics.images import psnr, ssim


@pytest.fixture
def picture() -> np.ndarray:
    """(40, 50, 3) uint8 with structure."""
    v, u = np.mgrid[0:40, 0:50]
    planes = [127 + 90 * np.sin(u / a) * np.cos(v / b) for a, b in ((3, 4), (5, 2), (7, 6))]
    return np.stack(planes, axis=-1).astype(np.uint8)


def noisy(picture: np.ndarray, sigma: float = 12) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, sigma, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def ssim_of_window(x: np.ndarray, y: np.ndarray) -> float:
    """Wang et al. 2004, equation 13, of one 11 x 11 window of one channel."""
    axis = np.exp(-((np.arange(11) - 5) ** 2) / (2 * 1.5**2))
    w = np.outer(axis, axis) / axis.sum() ** 2
    mx, my = (w * x).sum(), (w * y).sum()
    vx, vy, cov = (
        (w * (x - mx) ** 2).sum(),
        (w * (y - my) ** 2).sum(),
        (w * (x - mx) * (y - my)).sum(),
    )
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return (2 * mx * my + c1) * (2 * cov + c2) / ((mx**2 + my**2 + c1) * (vx + vy + c2))


def test_psnr_of_a_known_difference(picture):
    assert psnr(picture.astype(int) + 10, picture) == pytest.approx(20 * np.log10(25.5))
    assert psnr(picture, picture) == float("inf")


def test_psnr_looks_at_the_mask_only(picture):
    mask = np.zeros((40, 50), bool)
    mask[:, :25] = True
    spoilt = picture.astype(int) + 10
    spoilt[:, 25:] = 0
    assert psnr(spoilt, picture, mask) == pytest.approx(20 * np.log10(25.5))
    assert np.isnan(psnr(spoilt, picture, np.zeros_like(mask)))


def test_ssim_equals_its_definition_in_every_full_window(picture):
    image = noisy(picture)
    x, y = image.astype(float), picture.astype(float)
    windows = [
        np.s_[v : v + 11, u : u + 11, c] for v in range(30) for u in range(40) for c in range(3)
    ]
    expected = np.mean([ssim_of_window(x[window], y[window]) for window in windows])
    assert ssim(image, picture) == pytest.approx(expected, abs=1e-9)


def test_ssim_of_equal_images_is_one_and_falls_with_noise(picture):
    assert ssim(picture, picture) == pytest.approx(1)
    assert 1 > ssim(noisy(picture, 5), picture) > ssim(noisy(picture, 30), picture)


def test_ssim_does_not_depend_on_the_scale_of_values(picture):
    image = noisy(picture)
    assert ssim(image / 255, picture / 255, peak=1.0) == pytest.approx(ssim(image, picture))


def test_what_lies_outside_the_mask_has_no_say(picture):
    mask = np.ones((40, 50), bool)
    mask[10:30, 20:45] = False
    image, spoilt = noisy(picture), noisy(picture)
    spoilt[~mask] = 255
    assert ssim(spoilt, picture, mask) == pytest.approx(ssim(image, picture, mask), abs=1e-12)
    assert ssim(spoilt, picture) < ssim(image, picture) - 0.05
    assert np.isnan(ssim(image, picture, np.zeros_like(mask)))


def test_grey_images_are_accepted(picture):
    grey = picture[..., 0]
    assert ssim(grey, grey) == pytest.approx(1)
