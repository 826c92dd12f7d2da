"""What anatomy may look like: ranges that a scene is drawn from."""

from __future__ import annotations

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class Anatomy:
    """Ranges of shape; the defaults are as wide as endoscopy is, for training.

    Lengths across the picture are in half widths of the view, heights in shares of the depth.
    """

    tilt: Range = (-0.45, 0.45)  # of the ground
    upward: float = 0.15  # the upper part of a picture is farther, more often than not
    bowl: Range = (-0.45, 0.55)  # cavity .. dome
    lumens: float = 0.18  # share of scenes that look along a tube
    hills: Range = (0.02, 0.16)  # height of broad waves
    roughness: Range = (0.0003, 0.010)  # height of folds and grains, each organ its own
    organs: Range = (0.0, 1.0)  # how packed
    lift: Range = (-0.08, 0.30)  # how far organs float in front of the ground
    thickness: Range = (0.25, 1.1)  # flat .. round
    chains: float = 0.4  # probability of each bowel loop or vessel
    layers: float = 0.35  # probability of a draped sheet


FLAT = Anatomy(
    tilt=(0, 0), upward=0, bowl=(0, 0), lumens=0, hills=(0, 0), roughness=(1e-12, 1e-12),
    organs=(0, 0), chains=0, layers=0,
)  # fmt: skip

# Gentle enough that a moving endoscope sees few surfaces appear from behind others.
GENTLE = Anatomy(
    tilt=(-0.2, 0.2), upward=0.1, bowl=(-0.15, 0.2), lumens=0, hills=(0.05, 0.09),
    roughness=(0.0008, 0.004), organs=(0.5, 0.8), lift=(-0.08, 0.0), thickness=(0.25, 0.6),
    chains=0.6, layers=0,
)  # fmt: skip
