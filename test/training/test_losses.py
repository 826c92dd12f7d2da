"""Loss terms on images whose value is known or can be had from another library."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from endosfm3d_ros.training.losses import (
    brightness_smoothness,
    masked_mean,
    ms_ssim,
    normalised,
    photometric,
    smoothness,
)


def images(seed=0, batch=1):
    """A smooth image and a noisy copy, (B, 3, 176, 192)."""
    rng = np.random.default_rng(seed)
    smooth = gaussian_filter(rng.random((batch, 3, 176, 192)), (0, 0, 4, 4))
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    noisy = np.clip(smooth + 0.1 * rng.standard_normal(smooth.shape), 0, 1)
    return torch.from_numpy(smooth), torch.from_numpy(noisy)


def reference_ms_ssim(a, b):
    """MS-SSIM of two (3, H, W) arrays with scipy's Gaussian, mirrored borders."""
    terms = []
    for scale in range(5):
        if scale:
            a, b = (x.reshape(3, x.shape[1] // 2, 2, -1, 2).mean((2, 4)) for x in (a, b))

        def blur(x):
            return gaussian_filter(x, (0, 1.5, 1.5), mode="mirror", truncate=5 / 1.5)

        va, vb = blur(a * a) - blur(a) ** 2, blur(b * b) - blur(b) ** 2
        vab = blur(a * b) - blur(a) * blur(b)
        contrast = (2 * vab + 0.03**2) / (va + vb + 0.03**2)
        light = (2 * blur(a) * blur(b) + 1e-4) / (blur(a) ** 2 + blur(b) ** 2 + 1e-4)
        terms.append(contrast[:, 5:-5, 5:-5].mean())
    terms[-1] = (light * contrast).mean()
    return np.prod(np.array(terms) ** [0.0448, 0.2856, 0.3001, 0.2363, 0.1333])


def test_ms_ssim_of_equal_images_is_one():
    a, _ = images()
    assert ms_ssim(a, a).item() == pytest.approx(1)


def test_ms_ssim_agrees_with_scipy():
    a, b = images()
    assert ms_ssim(a, b).item() == pytest.approx(reference_ms_ssim(a[0].numpy(), b[0].numpy()))


def test_ms_ssim_of_a_batch_is_the_mean():
    a, b = images(batch=2)
    parts = [ms_ssim(a[i : i + 1], b[i : i + 1]) for i in range(2)]
    torch.testing.assert_close(ms_ssim(a, b), sum(parts) / 2)


def test_photometric_error_is_zero_for_equal_images_and_weighs_the_difference():
    a, _ = images()
    assert photometric(a, a).abs().max() == pytest.approx(0, abs=1e-12)
    b = (0.9 * a).clone()
    b[..., 0, 0] += 0.05
    expected = 0.9 * (1 - ms_ssim(a, b)) + 0.1 * (a - b).abs().mean(dim=1, keepdim=True)
    torch.testing.assert_close(photometric(a, b), expected)


def test_masked_mean_ignores_the_rest():
    x, mask = torch.tensor([1.0, 2.0, 9.0]), torch.tensor([1.0, 1.0, 0.0])
    assert masked_mean(x, mask) == 1.5


def test_smoothness_is_the_mean_slope_and_less_at_image_edges():
    ramp = torch.arange(6.0).expand(1, 1, 5, 6) * 2
    flat = torch.zeros(1, 3, 5, 6)
    assert smoothness(ramp, flat).item() == pytest.approx(2)
    edges = torch.arange(6.0).expand(1, 3, 5, 6) * 0.5
    assert smoothness(ramp, edges).item() == pytest.approx(2 * np.exp(-0.5))


def test_normalised_disparity_has_mean_one():
    torch.testing.assert_close(
        normalised(torch.rand(2, 1, 4, 5)).mean(dim=(1, 2, 3)), torch.ones(2)
    )


def test_brightness_smoothness_counts_visible_pixels_only():
    change = torch.zeros(1, 3, 4, 4)
    change[..., 3] = 1  # one step in every row, between columns 2 and 3
    residual, mask = torch.zeros(1, 3, 4, 4), torch.ones(1, 1, 4, 4)
    assert brightness_smoothness(change, residual, mask).item() == pytest.approx(1 / 3)
    mask[..., 2] = 0
    assert brightness_smoothness(change, residual, mask).item() == 0


def test_losses_have_gradients():
    a, b = images()
    b.requires_grad_()
    photometric(b, a).mean().backward()
    assert torch.isfinite(b.grad).all()
    assert b.grad.abs().max() > 0
