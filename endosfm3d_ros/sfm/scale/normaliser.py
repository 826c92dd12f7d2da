"""Scale is a claim: metric depth passes through, scale-free depth is normalised once.

Where a source of scale is chosen, scale-free depth becomes metric as soon as that source is sure
enough. From then on one factor holds; it moves only when the evidence against it is clear.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.types import DepthMap, ScaleEstimate, ScaleSource

RELATIVE_MEDIAN = 0.05  # what the median of the first scale-free depth map becomes

ScaleChoice = Literal["none", "stereo", "kinematics", "tool_shaft", "constant"]


@dataclass(frozen=True)
class ScaleConfig:
    """Standard deviations are of the logarithm of the factor.

    Raises:
        ConfigurationError: an unknown source, or a constant that is not positive.
    """

    source: ScaleChoice = "none"
    constant: float = 1.0  # metres per unit of the normalised depth, whose first median is 0.05
    sure: float = 0.05  # a source this good makes depth metric
    floor: float = 0.005  # errors of one source repeat: averaging leaves no less
    contrary: float = 0.01  # a factor that differs by more ...
    sigmas: float = 1.5  # ... and by so many of its standard deviations is taken over
    disagreement: float = 0.05  # of two sources that is reported, beyond three sigma
    shaft_disagreement: float = 0.2  # the same of shafts with given metres: some are of 5 mm
    window: int = 60  # observations of a source that count
    looks: int = 9  # of the right eye: each is precise, and the map of one eye drifts in scale

    def __post_init__(self) -> None:
        if self.source not in get_args(ScaleChoice):
            accepted = ", ".join(get_args(ScaleChoice))
            raise ConfigurationError(f"scale source '{self.source}': accepted are {accepted}")
        if not self.constant > 0:
            raise ConfigurationError(f"scale_constant {self.constant}: it must be positive")


class ScaleNormaliser:
    """Keeps one factor for scale-free depth; the result is still `relative`, never metres."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """The next scale-free map sets the factor anew."""
        self._factor: float | None = None

    @property
    def factor(self) -> float:
        """Units of this stream per unit of its source."""
        return self._factor or 1.0

    def apply(self, depth: DepthMap) -> DepthMap:
        """The map in the units of this stream; unchanged where it is metric."""
        if depth.scale != ScaleSource.RELATIVE:
            return depth
        if self._factor is None and depth.valid.any():
            self._factor = RELATIVE_MEDIAN / float(np.median(depth.depth[depth.valid]))
        return replace(depth, depth=depth.depth * np.float32(self.factor))


class MetricScale:
    """Metres per unit of the stream, from the chosen source; the others are compared with it."""

    def __init__(self, config: ScaleConfig | None = None) -> None:
        self.config = config or ScaleConfig()
        self.reset()

    def reset(self) -> None:
        """Nothing is known."""
        self._observed: dict[ScaleSource, list[tuple[float, float]]] = {}
        self._held: ScaleEstimate | None = None
        if self.config.source == "constant":
            self._held = ScaleEstimate(self.config.constant, 0.0, ScaleSource.CONSTANT, 1)

    def given(self, source: ScaleSource) -> None:
        """Depth is metric by itself; what others measure is only compared with it."""
        self._held = ScaleEstimate(1.0, 0.0, source, 0)

    def observe(
        self, source: ScaleSource, factor: float, sigma: float, instead: bool = False
    ) -> None:
        """One measurement of metres per unit, with the sigma of its logarithm.

        `instead` of all earlier ones, for a source that looks back itself.
        """
        if not (np.isfinite(factor) and factor > 0 and np.isfinite(sigma)):
            return
        rows = self._observed.setdefault(source, [])
        if instead:
            rows.clear()
        rows.append((float(np.log(factor)), max(sigma, 1e-4)))
        stereo = source == ScaleSource.STEREO
        del rows[: -(self.config.looks if stereo else self.config.window)]

    def estimate(self) -> ScaleEstimate | None:
        """What depth and motion are multiplied by; None while they stay relative."""
        c = self.config
        if c.source in ("none", "constant"):
            return self._held
        newest = self._fused(ScaleSource(c.source))
        if newest is None:
            return self._held
        if self._held is None:
            self._held = newest if newest.sigma < c.sure else None
            return self._held
        apart = abs(float(np.log(newest.factor / self._held.factor)))
        if apart > max(c.contrary, c.sigmas * newest.sigma):
            self._held = newest
        else:  # what is held is off by as much as the newest evidence says, and by its doubt
            doubt = float(np.hypot(newest.sigma, apart))
            self._held = replace(newest, factor=self._held.factor, sigma=doubt)
        return self._held

    def notes(self) -> list[str]:
        """Sources that contradict the one in use."""
        c, held = self.config, self._held
        found = []
        for source in self._observed if held is not None else ():
            other = self._fused(source)
            if other is None or source == held.source:
                continue
            apart = float(np.log(other.factor / held.factor))
            shaft = source == ScaleSource.TOOL_SHAFT and c.source != "tool_shaft"
            limit = c.shaft_disagreement if shaft else c.disagreement
            if abs(apart) > max(limit, 3 * np.hypot(other.sigma, held.sigma)):
                found.append(
                    f"scale from {source.value} is {np.exp(apart):.2f} times that from "
                    f"{held.source.value}: check calibration and kinematics"
                )
        return found

    def _fused(self, source: ScaleSource) -> ScaleEstimate | None:
        """Weighted median of a source's observations, and what it is worth."""
        rows = self._observed.get(source)
        if not rows:
            return None
        values, sigmas = np.array(rows).T
        order = np.argsort(values)
        weights = np.cumsum(sigmas[order] ** -2)
        middle = values[order][np.searchsorted(weights, weights[-1] / 2)]
        stated = weights[-1] ** -0.5
        spread = 1.4826 * np.median(np.abs(values - middle)) / np.sqrt(len(values))
        sigma = float(np.hypot(max(stated, spread), self.config.floor))
        return ScaleEstimate(float(np.exp(middle)), sigma, source, len(rows))
