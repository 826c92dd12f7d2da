"""The training losses and all that leads to them, against `endosfm3d_train.npz`."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from endosfm3d_ros.evaluation.parity import geometry, gradients
from endosfm3d_ros.evaluation.parity.check import (
    Check,
    absolute,
    close,
    differing_share,
    scaled,
    unpacked_mask,
)
from endosfm3d_ros.evaluation.parity.golden import GoldenArrays, GoldenFolder
from endosfm3d_ros.evaluation.parity.training_step import (
    NEIGHBOURS,
    Triplet,
    load_networks,
    run_networks,
)
from endosfm3d_ros.networks.depth import SCALES, disparity_to_depth
from endosfm3d_ros.networks.warp import (
    camera_points,
    pixel_grid,
    projected,
    splat_weight,
    visible_mask,
    warp_by_depth,
    warp_by_flow,
)
from endosfm3d_ros.training.losses import (
    brightness_smoothness,
    masked_mean,
    ms_ssim,
    normalised,
    photometric,
    smoothness,
)
from endosfm3d_ros.training.self_supervision import SourceView, enlarged, pyramid

FLOW_STRIDES = (4, 2, 1, 1)  # stored pixels of flow and brightness change, by scale
RELATIVE = {"rtol": 1e-4, "atol": 1e-8}  # losses


def checks(folder: GoldenFolder) -> Iterator[Check]:
    """All checks of the training, from pure geometry up to gradients."""
    golden, pose = folder.arrays("endosfm3d_train"), folder.arrays("endosfm3d_pose")
    yield from geometry.checks(golden, pose)
    networks = load_networks(folder)
    with torch.no_grad():
        triplet = run_networks(networks, pose)
        for frame in NEIGHBOURS:
            reverse = networks.optical_flow(
                torch.cat([triplet.target, triplet.sources[frame]], dim=1)
            )
            yield from flow_checks(triplet.views[frame], reverse, golden, frame)
            yield from warp_checks(triplet, golden, frame)
            yield from photometric_checks(triplet, golden, frame)
        yield from depth_checks(triplet, golden)
        yield from batch_check(triplet, golden)
    yield from gradients.checks(networks, pose, golden)


def flow_checks(
    view: SourceView, reverse: tuple[Tensor, ...], golden: GoldenArrays, frame: str
) -> Iterator[Check]:
    """Both flow networks, registration, occlusion and the corrected target."""
    for s, stride in enumerate(FLOW_STRIDES):

        def stored(x: Tensor, stride: int = stride) -> Tensor:
            return x[..., ::stride, ::stride]

        for name, flow in (("position", view.flow), ("position_reverse", reverse)):
            expected = golden[f"{name}_{s}_{frame}_strided"]
            yield absolute(f"{name}_{s}_{frame}", stored(flow[s]), expected, 1e-4)
        expected = golden[f"transform_{s}_{frame}_strided"]
        yield scaled(f"transform_{s}_{frame}", stored(view.change[s]), expected)
        for name, image in (("registration", view.registered), ("refined", view.refined)):
            expected = golden[f"{name}_{s}_{frame}_strided"]
            yield scaled(f"{name}_{s}_{frame}", image[s][..., ::4, ::4], expected)
    weight = splat_weight(reverse[0])
    name = f"occlusion_map_{frame}"
    yield scaled(name, weight[..., ::2, ::2], golden[name])
    mask = unpacked_mask(golden[f"occlusion_mask_{frame}_bits"], *weight.shape[-2:])
    yield differing_share(
        f"occlusion_mask_{frame}", visible_mask(reverse[0]).bool(), mask, tolerance=1e-3
    )
    both = (view.flow[0] + warp_by_flow(reverse[0], view.flow[0])).abs()[..., ::4, ::4]
    expected = golden[f"flow_bidirection_0_{frame}_strided"]
    yield absolute(f"flow_bidirection_0_{frame}", both, expected, 1e-4)


def warp_checks(triplet: Triplet, golden: GoldenArrays, frame: str) -> Iterator[Check]:
    """View synthesis with predicted depth, motion and camera matrix."""
    T, K = triplet.motions[frame], triplet.K
    yield close(f"T_{frame}", T, golden[f"T_{frame}"], rtol=1e-4, atol=1e-7)
    for s, warped in enumerate(triplet.warped[frame]):
        expected = golden[f"warp_{s}_{frame}_strided"]
        yield scaled(f"warp_{s}_{frame}_strided", warped[..., ::4, ::4], expected)
    finest = triplet.warped[frame][0][..., ::2, ::2]
    yield scaled(f"warp_0_{frame}", finest, golden[f"warp_0_{frame}"])
    depth = disparity_to_depth(triplet.disparities[0])
    _, grid = warp_by_depth(triplet.sources[frame], depth, K, T)
    yield scaled(f"sample_0_{frame}", grid[:, ::4, ::4], golden[f"sample_0_{frame}_strided"])
    default = torch.from_numpy(golden["K_default"])[:, :3, :3]
    pixels = projected(camera_points(depth, torch.linalg.inv(K)), default, T)
    flow = (pixels - pixel_grid(depth)).flip(1)[..., ::4, ::4]
    expected = golden[f"rigid_flow_defaultK_{frame}_strided"]
    yield scaled(f"rigid_flow_defaultK_{frame}", flow, expected)


def photometric_checks(triplet: Triplet, golden: GoldenArrays, frame: str) -> Iterator[Check]:
    """Image differences, and the smoothness of flow and brightness change."""
    view, images = triplet.views[frame], pyramid(triplet.target)
    compared = {"registration": view.registered, "warp": triplet.warped[frame]}
    for name, ours in compared.items():
        rows = []
        for a, b in zip(ours, view.refined):
            error = photometric(a, b)
            masked = masked_mean(error, view.visible)
            rows.append(torch.stack([ms_ssim(a, b), (a - b).abs().mean(), error.mean(), masked]))
        key = f"photo_{name}_{frame}"
        yield close(key, torch.stack(rows), golden[key], **RELATIVE)
    smooth = torch.stack([smoothness(f, image) for f, image in zip(view.flow, images)])
    expected = golden["smooth_position_m1_p1_scales"][NEIGHBOURS.index(frame)]
    yield close(f"smooth_position_{frame}", smooth, expected, **RELATIVE)
    residual = triplet.target - view.registered[0]
    bright = brightness_smoothness(view.change[0], residual, view.visible)
    yield close(f"smooth_bright_0_{frame}", bright, golden[f"smooth_bright_0_{frame}"], **RELATIVE)


def depth_checks(triplet: Triplet, golden: GoldenArrays) -> Iterator[Check]:
    """Depth of every scale, its smoothness, and the camera matrix that both neighbours share."""
    yield absolute("K_used", triplet.K, golden["K_used"][:, :3, :3], 1e-3)
    for s in range(SCALES):
        depth = disparity_to_depth(enlarged(triplet.disparities[s], triplet.target))
        expected = golden[f"depth_up_{s}_strided"]
        yield close(f"depth_up_{s}", depth[..., ::4, ::4], expected, rtol=1e-4, atol=1e-6)
    images = pyramid(triplet.target)
    smooth = [smoothness(normalised(d), image) for d, image in zip(triplet.disparities, images)]
    yield close("smooth_disp_scales", torch.stack(smooth), golden["smooth_disp_scales"], **RELATIVE)


def batch_check(triplet: Triplet, golden: GoldenArrays) -> Iterator[Check]:
    """Both neighbours as one batch of two: the structural part is one number for the batch."""
    refined = torch.cat([triplet.views[frame].refined[0] for frame in NEIGHBOURS])
    warped = torch.cat([triplet.warped[frame][0] for frame in NEIGHBOURS])
    means = photometric(warped, refined).mean(dim=(1, 2, 3))
    yield close("photo_batch2_mean", means, golden["photo_batch2_mean"], **RELATIVE)
