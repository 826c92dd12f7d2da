"""From linear light to the 8-bit picture of an endoscope: exposure, optics, sensor, coding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from endosfm3d_ros.datasets.simulation.dice import Dice

BLUR = 3  # pixels to each side of a blur kernel
BLOCK = 8  # pixels of a coding block


@dataclass(frozen=True)
class Look:
    """How N scenes are photographed; every tensor has N rows."""

    exposure: Tensor  # (N) aimed mean of the square root of luminance
    balance: Tensor  # (N, 3) gains of red, green, blue
    gamma: Tensor  # (N)
    contrast: Tensor  # (N) 0 none .. 1 strong S-curve
    saturation: Tensor  # (N) factor
    vignette: Tensor  # (N) loss in the corners
    kernel: Tensor  # (N, 2 BLUR + 1, 2 BLUR + 1) defocus and motion blur
    border: Tensor  # (N) radius of the round aperture in half diagonals; above 1 it is unseen
    frame: Tensor  # (N) width of a dark frame, share of the picture
    haze: Tensor  # (N) smoke
    noise: Tensor  # (N) one sigma of the noise at full scale
    coding: Tensor  # (N) coarseness of the block coding in grey levels, 0 = none


def random_look(dice: Dice, count: int) -> Look:
    """Cameras and conditions of all kinds."""
    return Look(
        exposure=dice.uniform(0.36, 0.68, count),
        balance=dice.log_uniform(0.85, 1.18, count, 3),
        gamma=dice.uniform(1.7, 2.6, count),
        contrast=dice.uniform(0, 0.7, count),
        saturation=dice.log_uniform(0.7, 1.25, count),
        vignette=dice.uniform(0, 0.5, count),
        kernel=_kernels(dice, count),
        border=torch.where(dice.chance(0.12, count), dice.uniform(0.6, 0.95, count), 9.0),
        frame=torch.where(dice.chance(0.15, count), dice.uniform(0.0, 0.06, count), -1.0),
        haze=torch.where(dice.chance(0.15, count), dice.uniform(0.05, 0.45, count), 0.0),
        noise=dice.log_uniform(0.004, 0.03, count),
        coding=torch.where(dice.chance(0.5, count), dice.log_uniform(2, 14, count), 0.0),
    )


def plain_look(noise: float, haze: float) -> Look:
    """A good modern endoscope, one scene.

    Args:
        noise: one sigma at full scale.
        haze: smoke, 0 none.
    """

    def row(value: float) -> Tensor:
        return torch.tensor([value])

    kernel = _kernel(torch.zeros(1, 1, 1), torch.full((1, 1, 1), 0.5), torch.ones(1, 1, 1))
    return Look(
        exposure=row(0.52), balance=torch.ones(1, 3), gamma=row(2.2), contrast=row(0.25),
        saturation=row(1.05), vignette=row(0.15), kernel=kernel, border=row(9.0),
        frame=row(-1.0), haze=row(haze), noise=row(noise), coding=row(0.0),
    )  # fmt: skip


def _kernels(dice: Dice, count: int) -> Tensor:
    """Gaussian defocus, stretched along a random direction by motion."""
    turn = dice.uniform(0, 6.2832, count, 1, 1)
    sigma = dice.log_uniform(0.4, 1.0, count, 1, 1)
    stretch = torch.where(dice.chance(0.25, count, 1, 1), dice.uniform(1, 3, count, 1, 1), 1.0)
    return _kernel(turn, sigma, stretch)


def _kernel(turn: Tensor, sigma: Tensor, stretch: Tensor) -> Tensor:
    """(N, side, side) from an angle, a width and a factor along the angle, (N, 1, 1) each."""
    side = torch.arange(-BLUR, BLUR + 1.0, device=turn.device)
    along = turn.cos() * side + turn.sin() * side[:, None]
    across = turn.cos() * side[:, None] - turn.sin() * side
    kernel = (-0.5 * ((along / (sigma * stretch)).square() + (across / sigma).square())).exp()
    return kernel / kernel.sum((1, 2), keepdim=True)


def develop(light: Tensor, look: Look, gain: Tensor, dice: Dice) -> Tensor:
    """(N, T, 3, H, W) uint8 pictures.

    Args:
        light: (N, 3, T, H, W) linear and unclipped.
        look: of N scenes.
        gain: (N) exposure, see `automatic_gain`.
        dice: source of the pixel noise.
    """
    height, width = light.shape[3:]
    light = light.transpose(1, 2)
    light = light * _wide(gain) * look.balance[:, None, :, None, None]
    light = _hazy(light, look, dice)
    light = light * _aperture(look, height, width)[:, None, None]
    light = _blurred(light.clamp_(0, 4), look.kernel)
    light = _grainy(light, look, dice)
    picture = _tone(light, look)
    picture = torch.where(_wide(look.coding) > 0, _coded(picture, look.coding), picture)
    return picture.mul_(255).round_().clamp_(0, 255).byte()


def automatic_gain(light: Tensor, target: Tensor) -> Tensor:
    """(N): exposure by the first frame, deaf to highlights.

    Args:
        light: (N, 3, T, H, W) linear and unclipped.
        target: (N) aimed mean of the square root of luminance.
    """
    mean = light[:, :, 0].mean(1).clamp(min=0).sqrt_()
    level = mean.clamp(max=mean.flatten(1).mean(1)[:, None, None] * 3.0).flatten(1).mean(1)
    return (target / level.clamp(min=1e-4)).square()


def _hazy(light: Tensor, look: Look, dice: Dice) -> Tensor:
    """Smoke: a bluish grey veil of uneven thickness."""
    count, _, _, height, width = light.shape
    coarse = 0.25 * dice.normal(count, 1, 1, 4, 5) + 1
    veil = torch.nn.functional.interpolate(
        coarse[:, 0], (height, width), mode="bicubic", align_corners=True
    )[:, None].clamp_(0, 1.6)
    veil = veil * _wide(look.haze)
    tint = torch.tensor([0.26, 0.28, 0.32], device=light.device)[:, None, None]
    return light * (1 - 0.6 * veil) + tint * veil


def _aperture(look: Look, height: int, width: int) -> Tensor:
    """(N, H, W): vignette, round aperture and dark frame."""
    down = torch.linspace(-1, 1, height, device=look.border.device)[:, None]
    across = torch.linspace(-1, 1, width, device=look.border.device)
    ratio = height / width
    radius = (across.square() + (down * ratio).square()) / (1 + ratio**2)
    vignette = 1 - look.vignette[:, None, None] * radius
    edge = 60 * (look.border[:, None, None] - radius.sqrt())
    inner = 1 - look.frame[:, None, None]
    inside = (down.abs() <= inner) & (across.abs() <= inner)
    return vignette * edge.clamp_(0, 1) * torch.where(inside, 1.0, 0.01)


def _blurred(light: Tensor, kernel: Tensor) -> Tensor:
    """Each scene with its own kernel."""
    count, frames, channels, height, width = light.shape
    planes = light.reshape(1, count * frames * channels, height, width)
    kernels = kernel.repeat_interleave(frames * channels, 0)[:, None]
    blurred = conv2d(pad(planes, (BLUR,) * 4, mode="replicate"), kernels, groups=planes.shape[1])
    return blurred.reshape(light.shape)


def _grainy(light: Tensor, look: Look, dice: Dice) -> Tensor:
    """Shot noise that grows with the root of the light, above a read-out floor."""
    grain = dice.grain(*light.shape)
    sigma = (light + 0.02).sqrt_() * _wide(look.noise)
    return light.addcmul(grain, sigma).clamp_(min=0)


def _tone(light: Tensor, look: Look) -> Tensor:
    """Soft shoulder, gamma, contrast and saturation; 0 .. 1."""
    light = torch.where(light > 0.7, 1 - 0.3 * (-(light - 0.7) / 0.3).exp(), light)
    coded = light.clamp_(1e-5, 1).log_().div_(_wide(look.gamma)).exp_()
    smooth = coded * coded * (3 - 2 * coded)
    coded = torch.lerp(coded, smooth, _wide(look.contrast))
    grey = coded.mean(2, keepdim=True)
    return torch.lerp(grey, coded, _wide(look.saturation)).clamp_(0, 1)


def _coded(picture: Tensor, step: Tensor) -> Tensor:
    """Discrete cosine transform of 8x8 blocks, rounded the coarser the higher the frequency."""
    *lead, height, width = picture.shape
    bottom, right = -height % BLOCK, -width % BLOCK
    planes = pad(picture.flatten(0, 2)[:, None], (0, right, 0, bottom), mode="replicate")[:, 0]
    rows, columns = planes.shape[1] // BLOCK, planes.shape[2] // BLOCK
    blocks = planes.reshape(-1, rows, BLOCK, columns, BLOCK).transpose(2, 3)
    basis = _cosines(picture.device)
    order = torch.arange(BLOCK, device=picture.device)
    coarse = (1 + 0.5 * (order + order[:, None])) / 255
    quantum = _wide(step).expand(*lead, 1, 1).reshape(-1, 1, 1, 1, 1) * coarse
    spectrum = basis @ blocks @ basis.T
    blocks = basis.T @ ((spectrum / quantum.clamp(min=1e-6)).round_() * quantum) @ basis
    planes = blocks.transpose(2, 3).reshape(planes.shape)[:, :height, :width]
    return planes.reshape(picture.shape).clamp(0, 1)


def _cosines(device: torch.device) -> Tensor:
    """(8, 8) orthonormal DCT-II."""
    n = torch.arange(BLOCK, device=device)
    basis = (torch.pi / BLOCK * (n + 0.5) * n[:, None]).cos() * (2 / BLOCK) ** 0.5
    basis[0] *= 0.5**0.5
    return basis


def _wide(values: Tensor) -> Tensor:
    """(N) against (N, T, C, H, W)."""
    return values[:, None, None, None, None]
