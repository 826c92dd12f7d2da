"""What published evaluations of depth score, data set by data set.

A protocol says which reference values count and where they lie in the image. Beside the measures
of this package, over these values, a report then carries those of the released evaluation of
EndoSfM3D as `released_*`: scaled by the ratio of mean inverse depths instead of medians, clamped
to the range, and for C3VD with one scale for every sixteen images. They are for comparison with
published tables only; the same names never mean two things.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.evaluation.metrics.depth import MIN_PIXELS, depth_errors, mean_inverse_scaled


@dataclass(frozen=True)
class Crop:
    """The part of an image that is scored, for images of one shape; others are scored whole."""

    left: int
    top: int
    right: int  # exclusive
    bottom: int  # exclusive
    image_size: tuple[int, int]  # (width, height) that the numbers belong to

    def inside(self, height: int, width: int) -> np.ndarray:
        """(height, width) bool, scaled with the image."""
        if abs(width * self.image_size[1] / (height * self.image_size[0]) - 1) > 0.01:
            return np.ones((height, width), bool)
        scale = width / self.image_size[0]
        rows = slice(round(self.top * scale), round(self.bottom * scale))
        columns = slice(round(self.left * scale), round(self.right * scale))
        mask = np.zeros((height, width), bool)
        mask[rows, columns] = True
        return mask


@dataclass(frozen=True)
class DepthProtocol:
    """Which reference depth of a data set is scored, and how its released evaluation scales."""

    name: str
    nearest: float  # m; nearer and farther reference values are not scored ...
    farthest: float  # ... and predictions of the released evaluation are clamped to them
    crop: Crop | None = None
    images_per_scale: int = 1

    def scored(self, reference: np.ndarray) -> np.ndarray:
        """(H, W) m with NaN where nothing is scored."""
        with np.errstate(invalid="ignore"):
            kept = (reference > self.nearest) & (reference < self.farthest)
        if self.crop is not None:
            kept &= self.crop.inside(*reference.shape)
        return np.where(kept, reference, np.float32(np.nan))


PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        DepthProtocol("scared", 1e-5, 0.150),
        # Full scale of the depth images is 100 mm; the octagon's corners are cut off.
        DepthProtocol("c3vd", 1e-5, 0.100, Crop(200, 180, 1150, 900, (1350, 1080)), 16),
        # Stereo depth beyond 300 mm is not believed; the wide sequences have empty sides.
        DepthProtocol("hamlyn", 0.001, 0.300, Crop(180, 0, 590, 288, (720, 288))),
        DepthProtocol("stereomis", 0.001, 0.250),
    )
}


def find_protocol(name: str) -> DepthProtocol:
    """The protocol of that name.

    Raises:
        ConfigurationError: there is none.
    """
    if name not in PROTOCOLS:
        raise ConfigurationError(f"protocol '{name}': accepted are {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


@dataclass
class ReleasedScores:
    """Measures as the released evaluation computes them, per image or per group of images."""

    protocol: DepthProtocol
    columns: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _waiting: list[tuple[np.ndarray, np.ndarray]] = field(default_factory=list)

    def add(self, predicted: np.ndarray, reference: np.ndarray, metric: bool) -> None:
        """One image: (H, W) prediction, and reference in m as `DepthProtocol.scored` leaves it."""
        common = np.isfinite(predicted) & np.isfinite(reference)
        if common.sum() >= MIN_PIXELS:
            self._waiting.append((predicted[common], reference[common]))
        if len(self._waiting) >= self.protocol.images_per_scale:
            self.close(metric)

    def close(self, metric: bool) -> None:
        """Score what waits for more images; the last group of a clip may be a small one."""
        if not self._waiting:
            return
        p, g = (np.concatenate(arrays).astype(np.float64) for arrays in zip(*self._waiting))
        self._waiting.clear()
        low, high = self.protocol.nearest, self.protocol.farthest
        errors = depth_errors(np.clip(mean_inverse_scaled(p, g), low, high), g)
        names = ["abs_rel", "rmse_log", "delta1", "delta2", "delta3"]
        for name in names:
            self.columns[f"released_{name}"].append(getattr(errors, name))
        if metric:
            self.columns["released_sq_rel"].append(errors.sq_rel * 1e3)
            self.columns["released_rmse_mm"].append(errors.rmse * 1e3)
