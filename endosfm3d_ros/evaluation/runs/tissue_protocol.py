"""What the tissue evaluation does, and what comes out of it."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from endosfm3d_ros.sfm.config import EstimatorConfig
from endosfm3d_ros.tissue.config import TissueConfig


@dataclass(frozen=True)
class TissueProtocol:
    """What the scores mean."""

    hold_every: int = 8  # every 8th frame is held out
    disc_diameter: float = 140 / 640  # of the width
    disc_frames: int = 25
    disc_from: tuple[float, float] = (0.30, 0.75)  # of the width and height
    disc_to: tuple[float, float] = (0.55, 0.45)
    covered: float = 0.5  # alpha
    budget: float | None = 0.035  # seconds of one live update; None: offline steps
    sfm: EstimatorConfig = field(default_factory=EstimatorConfig)
    tissue: TissueConfig = field(default_factory=TissueConfig)


@dataclass(frozen=True)
class TissueFrame:
    """What is kept of one frame for pictures and plots."""

    kind: str  # p1, p2 or hidden
    i: int
    image: np.ndarray  # (H, W, 3) uint8
    rendered: np.ndarray  # (H, W, 3) uint8
    psnr: float


@dataclass
class TissueResult:
    """Values per frame by measure; `means` are those of the report."""

    columns: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    gaussians_max: int = 0

    def add(self, **values: float) -> None:
        """Append what is a finite number."""
        for name, value in values.items():
            if np.isfinite(value):
                self.columns[name].append(float(value))

    def means(self) -> dict[str, float]:
        """The report's values; what was not measured is absent."""
        values = {name: float(np.mean(column)) for name, column in self.columns.items() if column}
        ages = values.pop("age", None)
        if ages is not None:
            second_half = self.columns["age"][len(self.columns["age"]) // 2 :]
            values["gaussian_age_median"] = float(np.median(second_half))
            values["gaussians_max"] = self.gaussians_max
        whole = values.pop("persistence_whole_mse", 0.0)
        if whole > 0:
            values["persistence_whole_p1_psnr"] = float(10 * np.log10(255**2 / whole))
        for name in ("update_ms", "tracking_ms"):
            if name in values:
                values[f"{name}_p50"] = float(np.median(self.columns[name]))
                del values[name]
        return values
