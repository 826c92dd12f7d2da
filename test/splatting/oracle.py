"""The rasteriser's mathematics in plain torch, any floating type, gradients by autograd.

One pixel block at a time: every Gaussian that may reach it, in order of depth, against every
pixel of the block. `tile=None` makes one block of the whole image, which is the definition, and
fills info["margin"]; with a tile the oracle is only as slow as it must be.
"""

from __future__ import annotations

import torch
from torch import Tensor

ALPHA_THRESHOLD = 1 / 255
MAX_ALPHA = 0.999
MIN_TRANSMITTANCE = 1e-4


def rotation_matrices(quats: Tensor) -> Tensor:
    """[N, 4] w x y z of any length -> [N, 3, 3]."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=-1).unbind(-1)
    entries = [
        *(1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        *(2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        *(2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    ]
    return torch.stack(entries, -1).reshape(-1, 3, 3)


def project(means, quats, scales, viewmat, K, width, height, eps2d):
    """Means [N, 2], covariances [N, 2, 2] before and after the filter, depths [N]."""
    R, t = viewmat[:3, :3], viewmat[:3, 3]
    points = means @ R.T + t
    x, y, z = points.unbind(-1)
    fx, fy, cx, cy = K[0, 0], K[1, 1], K[0, 2], K[1, 2]
    slack_x, slack_y = 0.15 * width / fx, 0.15 * height / fy
    slope_x = torch.clamp(x / z, -cx / fx - slack_x, (width - cx) / fx + slack_x)
    slope_y = torch.clamp(y / z, -cy / fy - slack_y, (height - cy) / fy + slack_y)
    zero = torch.zeros_like(z)
    J = torch.stack([fx / z, zero, -fx * slope_x / z, zero, fy / z, -fy * slope_y / z], -1)
    M = R @ rotation_matrices(quats) * scales[:, None, :]
    V = J.reshape(-1, 2, 3) @ M
    sharp = V @ V.transpose(-1, -2)
    blurred = sharp + eps2d * torch.eye(2, dtype=z.dtype)
    return torch.stack([fx * x / z + cx, fy * y / z + cy], -1), sharp, blurred, z


def rasterization(
    means, quats, scales, opacities, colors, viewmats, Ks, width, height,
    near_plane=0.01, far_plane=1e10, radius_clip=0.0, eps2d=0.3, render_mode="RGB",
    backgrounds=None, rasterize_mode="classic", tile=None,
):  # fmt: skip
    """Same arguments and results as the package's function, plus `tile`."""
    images = [
        _one_camera(
            means, quats, scales, opacities, colors[c] if colors.dim() == 3 else colors,
            viewmats[c], Ks[c], width, height, near_plane, far_plane, radius_clip, eps2d,
            render_mode, None if backgrounds is None else backgrounds[c], rasterize_mode, tile,
        )
        for c in range(len(viewmats))
    ]  # fmt: skip
    renders, alphas, margins = (torch.stack(part) for part in zip(*images))
    return renders, alphas, {"margin": margins}


def _one_camera(
    means, quats, scales, opacities, colors, viewmat, K, width, height, near, far, radius_clip,
    eps2d, render_mode, background, rasterize_mode, tile,
):  # fmt: skip
    centres, sharp, blurred, depth = project(means, quats, scales, viewmat, K, width, height, eps2d)
    if rasterize_mode == "antialiased":
        ratio = torch.linalg.det(sharp) / torch.linalg.det(blurred)
        opacities = opacities * ratio.clamp(min=0).sqrt()
    extent = (2 * (opacities / ALPHA_THRESHOLD).clamp(min=1).log()).sqrt()
    reach = extent[:, None] * blurred.diagonal(dim1=-2, dim2=-1).sqrt()
    keep = (depth >= near) & (depth <= far) & (opacities >= ALPHA_THRESHOLD)
    keep &= (reach.ceil() > radius_clip).any(-1)
    order = torch.nonzero(keep).squeeze(-1)
    order = order[torch.argsort(depth.detach()[order], stable=True)]
    features = {"RGB": [colors], "D": [], "ED": []}.get(render_mode, [colors])
    if render_mode != "RGB":
        features = [*features, depth[:, None]]
    features = torch.cat(features, -1)[order]
    centres, reach, opacities = centres[order], reach.detach()[order], opacities[order]
    conics = torch.linalg.inv(blurred[order])
    block_h, block_w = (height, width) if tile is None else (tile, tile)
    rows = []
    for y0 in range(0, height, block_h):
        row = []
        for x0 in range(0, width, block_w):
            h, w = min(block_h, height - y0), min(block_w, width - x0)
            near_block = slice(None)
            if tile is not None:
                c = centres.detach()
                near_block = (
                    (c[:, 0] + reach[:, 0] > x0) & (c[:, 0] - reach[:, 0] < x0 + w)
                    & (c[:, 1] + reach[:, 1] > y0) & (c[:, 1] - reach[:, 1] < y0 + h)
                ).nonzero().squeeze(-1)  # fmt: skip
            row.append(
                _blend(
                    centres[near_block], conics[near_block], opacities[near_block],
                    features[near_block], x0, y0, w, h, measure_margin=tile is None,
                )
            )  # fmt: skip
        rows.append([torch.cat(part, 1) for part in zip(*row)])
    image, transmittance, margin = (torch.cat(part, 0) for part in zip(*rows))
    alpha = 1 - transmittance
    if background is not None and render_mode.startswith("RGB"):
        d = background.shape[-1]
        image = torch.cat([image[..., :d] + transmittance * background, image[..., d:]], -1)
    if render_mode.endswith("ED"):
        image = torch.cat([image[..., :-1], image[..., -1:] / alpha.clamp(min=1e-10)], -1)
    return image, alpha, margin


def _blend(centres, conics, opacities, features, x0, y0, width, height, measure_margin):
    """[h, w, D] colours, [h, w, 1] transmittance and [h, w] distance to the nearest decision."""
    like = {"dtype": centres.dtype}
    ys, xs = torch.meshgrid(
        torch.arange(height, **like) + y0 + 0.5, torch.arange(width, **like) + x0 + 0.5,
        indexing="ij",
    )  # fmt: skip
    dx = xs.reshape(-1, 1) - centres[:, 0]
    dy = ys.reshape(-1, 1) - centres[:, 1]
    a, b, c = conics[:, 0, 0], conics[:, 0, 1], conics[:, 1, 1]
    sigma = 0.5 * (a * dx * dx + c * dy * dy) + b * dx * dy
    raw = opacities * torch.exp(-sigma)
    alpha = torch.where(raw >= ALPHA_THRESHOLD, raw.clamp(max=MAX_ALPHA), torch.zeros_like(raw))
    after = torch.cumprod(1 - alpha, -1)
    before = torch.cat([torch.ones_like(after[:, :1]), after[:, :-1]], -1)
    kept = after > MIN_TRANSMITTANCE  # falls once, so what comes behind is dropped as well
    image = torch.where(kept, alpha * before, torch.zeros_like(alpha)) @ features
    left = torch.cat([torch.ones(len(dx), 1, **like), after], -1)
    left = left.gather(-1, kept.sum(-1, keepdim=True))
    margin = _margin(raw.detach(), before.detach()) if measure_margin else xs * 0 + 1
    return (
        image.reshape(height, width, -1),
        left.reshape(height, width, 1),
        margin.reshape(height, width),
    )


def _margin(raw, before):
    """How far, relatively, the closest decision of a pixel is from going the other way.

    A rounding error flips decisions nearer than itself and changes the pixel by up to 1/255, so
    comparisons with single precision leave those pixels out.
    """
    if raw.shape[1] == 0:
        return torch.ones(len(raw), dtype=raw.dtype)
    threshold = (raw / ALPHA_THRESHOLD - 1).abs().min(-1).values
    full = (raw / MAX_ALPHA - 1).abs().min(-1).values
    alpha_here = torch.where(raw >= ALPHA_THRESHOLD, raw.clamp(max=MAX_ALPHA), 0 * raw)
    stop = (before * (1 - alpha_here) / MIN_TRANSMITTANCE - 1).abs().min(-1).values
    return torch.minimum(torch.minimum(threshold, full), stop)
