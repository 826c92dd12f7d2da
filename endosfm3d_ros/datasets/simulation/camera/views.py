"""Pinhole cameras of many scenes and times."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from endosfm3d_ros.datasets.simulation.anatomy.deformation import Vector


@dataclass(frozen=True)
class Cameras:
    """N scenes of T views."""

    intrinsics: Tensor  # (N, T, 3, 3) pixels
    poses: Tensor  # (N, T, 4, 4) camera in world, metres
    height: int
    width: int

    def rays(self) -> Vector:
        """Camera-frame directions with z = 1, planes of (N, T, H, W)."""
        K = self.intrinsics[..., None, None]
        columns = torch.arange(self.width, device=K.device, dtype=torch.float32)
        rows = torch.arange(self.height, device=K.device, dtype=torch.float32)[:, None]
        x = ((columns - K[:, :, 0, 2]) / K[:, :, 0, 0]).expand(-1, -1, self.height, -1)
        y = ((rows - K[:, :, 1, 2]) / K[:, :, 1, 1]).expand(-1, -1, -1, self.width)
        return x, y, torch.ones_like(x)

    def to_world(self, vectors: Vector) -> Vector:
        """Camera-frame directions turned into the world."""
        return turned(self.poses[:, :, :3, :3], vectors)

    def to_camera(self, vectors: Vector) -> Vector:
        """World directions turned into the cameras."""
        return turned(self.poses[:, :, :3, :3].mT, vectors)

    def project(self, points: Vector) -> Vector:
        """World points of (N, T, H, W) to columns, rows (pixels) and depths (metres)."""
        centre = [self.poses[:, :, i, 3, None, None] for i in range(3)]
        x, y, z = self.to_camera(tuple(p - c for p, c in zip(points, centre)))
        K = self.intrinsics[..., None, None]
        return x / z * K[:, :, 0, 0] + K[:, :, 0, 2], y / z * K[:, :, 1, 1] + K[:, :, 1, 2], z

    def next(self) -> Cameras:
        """The cameras of the following times; after the last comes the first."""
        K, poses = (x.roll(-1, dims=1) for x in (self.intrinsics, self.poses))
        return Cameras(K, poses, self.height, self.width)


def turned(R: Tensor, vectors: Vector) -> Vector:
    """Planes of (N, T, H, W) times rotations of (N, T, 3, 3)."""
    rows = R[..., None, None]
    return tuple(sum(rows[:, :, i, j] * vectors[j] for j in range(3)) for i in range(3))
