"""Back-projection, motion, projection and warp without any network (`geo_*` arrays)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch.nn import functional as F

from endosfm3d_ros.evaluation.parity.check import Check, close, scaled
from endosfm3d_ros.evaluation.parity.golden import GoldenArrays
from endosfm3d_ros.networks.camera_motion import motion_matrix
from endosfm3d_ros.networks.warp import camera_points, warp_by_depth


def checks(train: GoldenArrays, pose: GoldenArrays) -> Iterator[Check]:
    """A stored depth map and motion, and the frame before."""
    depth = torch.from_numpy(train["geo_depth_u16"].astype("float32"))[None, None] / 256
    vectors = (torch.from_numpy(train[f"geo_{n}"])[:, 0] for n in ("axisangle", "translation"))
    K = torch.from_numpy(train["geo_K"])[:, :3, :3]
    T = motion_matrix(*vectors)
    yield close("geo_T", T, train["geo_T"], rtol=1e-4, atol=1e-7)
    points = camera_points(depth, torch.linalg.inv(K))[..., ::8, ::8]
    homogeneous = F.pad(points, (0, 0, 0, 0, 0, 1), value=1.0)
    yield scaled("geo_points", homogeneous, train["geo_points_strided"])
    warped, grid = warp_by_depth(pose.image("image_m1_u8"), depth, K, T)
    yield scaled("geo_sample", grid[:, ::2, ::2], train["geo_sample_strided"])
    yield scaled("geo_warp", warped[..., ::2, ::2], train["geo_warp_strided"])
