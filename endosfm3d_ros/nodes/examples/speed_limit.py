"""How fast an instrument may move, by its clearance; knows no ROS.

Full speed far from tissue, none at the margin, linear between. Whatever is not known stops: no
message, an old one, one that is not valid, or a scale that is none.
"""

from __future__ import annotations

from dataclasses import dataclass

from endosfm3d_ros.errors import ConfigurationError


@dataclass(frozen=True)
class LimitConfig:
    """Metres and seconds.

    Raises:
        ConfigurationError: a margin that is not below the distance of full speed.
    """

    margin: float = 0.003  # of the lower bound, at which nothing moves any more
    free: float = 0.015  # from which on speed is not limited
    patience: float = 0.3  # s from image to now; the node itself withdraws distances at 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.margin < self.free:
            raise ConfigurationError(
                f"margin {self.margin} m and free {self.free} m: 0 <= margin < free is accepted"
            )


@dataclass(frozen=True)
class Heard:
    """What was said about one instrument."""

    valid: bool
    bound: float  # m, exceeded with 95 %
    reason: str
    imaged: float  # s on the clock of `factor`, when the image was taken


class SpeedLimit:
    """Remembers the newest clearance of every instrument.

    Args:
        config: settings.
        instrument: id that moves; 0 is whichever is nearest to tissue.
    """

    def __init__(self, config: LimitConfig | None = None, instrument: int = 0) -> None:
        self.config, self._instrument = config or LimitConfig(), instrument
        self._heard: dict[int, Heard] = {}

    def hear(self, instrument: int, heard: Heard) -> None:
        """Enter a message; one that is about a tool that left is about nothing that moves."""
        if self._instrument in (0, instrument):
            self._heard[instrument] = heard

    def factor(self, now: float) -> tuple[float, str]:
        """(share of the wanted speed that is allowed, why not all of it)."""
        if not self._heard:
            return 0.0, "no clearance was heard yet"
        return min(self._of(each, now) for each in self._heard.values())

    def forget_silent(self, now: float, after: float) -> None:
        """Leave out instruments that nobody has spoken of for long, unless none would be left."""
        kept = {id_: each for id_, each in self._heard.items() if now - each.imaged < after}
        self._heard = kept or self._heard

    def _of(self, heard: Heard, now: float) -> tuple[float, str]:
        c, age = self.config, now - heard.imaged
        if not age <= c.patience:  # NaN too
            return 0.0, f"the newest clearance is of an image {age:.2f} s ago"
        if not heard.valid:
            return 0.0, heard.reason or "the clearance is not valid"
        if not heard.bound > c.margin:
            return 0.0, f"tissue may be {1e3 * heard.bound:.1f} mm away"
        share = min(1.0, (heard.bound - c.margin) / (c.free - c.margin))
        return share, "" if share == 1.0 else f"tissue is at least {1e3 * heard.bound:.1f} mm away"
