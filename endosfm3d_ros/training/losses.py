"""Terms of the self-supervised training loss of EndoSfM3D.

Images are (B, 3, H, W) in [0, 1], masks (B, 1, H, W) in {0, 1}.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class StructuralSimilarity:
    """MS-SSIM of Wang et al. 2003, with the borders that torchmetrics gives it.

    The contrast term of each scale is averaged over windows that lie inside the image, the
    similarity of the coarsest scale over all windows, those across the border seeing the image
    mirrored. Images must be at least 161 px wide and high.
    """

    taps: int = 11
    sigma: float = 1.5  # pixels
    k1: float = 0.01
    k2: float = 0.03
    scale_weights: tuple[float, ...] = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)

    def __call__(self, a: Tensor, b: Tensor) -> Tensor:
        """One number for a batch of (B, C, H, W) pairs in [0, 1]; 1 for equal images."""
        terms = []
        for scale in range(len(self.scale_weights)):
            if scale > 0:
                a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
            similarity, contrast = self.single_scale(a, b)
            terms.append(contrast)
        terms[-1] = similarity  # luminance counts at the coarsest scale only
        weights = a.new_tensor(self.scale_weights)[:, None]
        return (F.relu(torch.stack(terms)) ** weights).prod(dim=0).mean()

    def difference(self, a: Tensor, b: Tensor) -> Tensor:
        """(B, 1, H, W) what the structure around each pixel differs by: 0 alike, 2 opposite.

        The weighted mean of 1 - similarity over the scales. MS-SSIM multiplies them instead, which
        per pixel has gradients without bound where one scale is uncorrelated.
        """
        size, total = a.shape[-2:], a.new_zeros(())
        for scale, weight in enumerate(self.scale_weights):
            if scale > 0:
                a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)
            luminance, contrast = self.terms(a, b)
            last = scale == len(self.scale_weights) - 1
            unlike = 1 - (luminance * contrast if last else contrast).mean(dim=1, keepdim=True)
            total = total + weight * F.interpolate(unlike, size, mode="bilinear")
        return total

    def single_scale(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) similarity over all windows and (B,) contrast over the windows inside."""
        luminance, contrast = self.terms(a, b)
        border = self.taps // 2
        inside = contrast[..., border:-border, border:-border]
        return (luminance * contrast).mean(dim=(1, 2, 3)), inside.mean(dim=(1, 2, 3))

    def terms(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, H, W) luminance and contrast term of the window around every pixel."""
        c1, c2 = self.k1**2, self.k2**2  # data range 1
        products = torch.cat([a, b, a * a, b * b, a * b])
        mean_a, mean_b, mean_aa, mean_bb, mean_ab = self.blur(products).chunk(5)
        variance_a = (mean_aa - mean_a**2).clamp(min=0)
        variance_b = (mean_bb - mean_b**2).clamp(min=0)
        covariance = mean_ab - mean_a * mean_b
        contrast = (2 * covariance + c2) / (variance_a + variance_b + c2)
        luminance = (2 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
        return luminance, contrast

    def blur(self, x: Tensor) -> Tensor:
        """Gaussian mean around every pixel, borders mirrored.

        As two matrix products: several times faster than a convolution of each channel.
        """
        rows, columns = (
            blur_matrix(size, self.taps, self.sigma, x.dtype, x.device) for size in x.shape[-2:]
        )
        return rows @ x @ columns.mT


@cache
def blur_matrix(
    size: int, taps: int, sigma: float, dtype: torch.dtype, device: torch.device
) -> Tensor:
    """(size, size) matrix whose rows hold the Gaussian weights of a signal mirrored at its ends."""
    border = taps // 2
    offsets = torch.arange(-border, border + 1, dtype=torch.float64)
    kernel = torch.exp(-((offsets / sigma) ** 2) / 2)
    at = torch.arange(size)[:, None] + torch.arange(-border, border + 1)  # (size, taps)
    mirrored = (size - 1) - ((size - 1) - at.abs()).abs()
    weights = (kernel / kernel.sum()).expand(size, taps)
    matrix = torch.zeros(size, size, dtype=torch.float64).scatter_add(1, mirrored, weights)
    return matrix.to(device, dtype)


ms_ssim = StructuralSimilarity()


def photometric(a: Tensor, b: Tensor, structure: float = 0.9) -> Tensor:
    """(B, 1, H, W) error: 0.9 (1 - MS-SSIM) + 0.1 mean over colours of |a - b|.

    As released, the structural part is one number for the batch, so a mask that is applied
    afterwards acts on the absolute difference only.
    """
    difference = (a - b).abs().mean(dim=1, keepdim=True)
    return structure * (1 - ms_ssim(a, b)) + (1 - structure) * difference


def photometric_per_pixel(a: Tensor, b: Tensor, structure: float = 0.9) -> Tensor:
    """(B, 1, H, W) error like `photometric`, but with the structure around each pixel itself."""
    difference = (a - b).abs().mean(dim=1, keepdim=True)
    return structure * ms_ssim.difference(a, b) + (1 - structure) * difference


def masked_mean(x: Tensor, mask: Tensor) -> Tensor:
    """Mean of x where the mask is 1; 0 where it is 1 nowhere."""
    return (x * mask).sum() / mask.sum().clamp(min=1)


def gradients(x: Tensor) -> tuple[Tensor, Tensor]:
    """|differences| of neighbours along x and along y."""
    return (x[..., :, 1:] - x[..., :, :-1]).abs(), (x[..., 1:, :] - x[..., :-1, :]).abs()


def smoothness(x: Tensor, image: Tensor) -> Tensor:
    """First differences of x, less where the image has edges (Godard et al. 2017, eq. 3)."""
    total = x.new_zeros(())
    for change, edge in zip(gradients(x), gradients(image)):
        total = total + (change * torch.exp(-edge.mean(dim=1, keepdim=True))).mean()
    return total


def normalised(disparity: Tensor) -> Tensor:
    """Disparity over its mean per image, so that smoothness does not shrink the scene."""
    return disparity / (disparity.mean(dim=(2, 3), keepdim=True) + 1e-7)


def brightness_smoothness(change: Tensor, residual: Tensor, mask: Tensor) -> Tensor:
    """Smoothness of a (B, 3, H, W) brightness change, less where the residual image has edges.

    Mean over the (B, 1, H, W) visible pixels; AF-SfMLearner (Shao et al. 2022).
    """
    total = change.new_zeros(())
    masks = mask[..., :, :-1], mask[..., :-1, :]
    for step, edge, seen in zip(gradients(change), gradients(residual), masks):
        weight = torch.exp(-edge.mean(dim=1, keepdim=True))
        total = total + masked_mean(step.mean(dim=1, keepdim=True) * weight, seen)
    return total
