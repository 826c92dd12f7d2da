"""What the networks of EndoSfM3D say, in the terms of the rest of the package."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera


@dataclass(frozen=True)
class NetworkDepth:
    """Answer of the depth network at the size of the image."""

    inverse_depth: np.ndarray  # (H, W) float32, 1 / units; NaN where the network failed
    confidence: np.ndarray  # (H, W) float32 0..1, 0 where invalid

    @property
    def depth(self) -> np.ndarray:
        """(H, W) float32 units, NaN invalid (REP 117)."""
        return 1 / self.inverse_depth

    @property
    def invalid_share(self) -> float:
        """Share of pixels without a depth, 0..1."""
        return float(np.isnan(self.inverse_depth).mean())


@dataclass(frozen=True)
class NetworkMotion:
    """Answer of the pose network for two frames."""

    T_current_previous: np.ndarray  # 4x4, translation in the unit of the depth
    camera: PinholeCamera | None  # at the size of the image; None where implausible


@dataclass(frozen=True)
class NetworkAnswer:
    """What the network said of one image, at its own size."""

    image: np.ndarray  # (h, w, 3) uint8 RGB, as it saw it
    fine: np.ndarray  # (h, w) float32 inverse depth, NaN where not finite
    coarse: np.ndarray | None = None  # (h / 2, w / 2) float32 inverse depth at the next scale
    log_error: np.ndarray | None = None  # (h, w) float32, how far off the network expects to be
