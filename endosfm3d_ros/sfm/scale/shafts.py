"""Scale by the shafts of instruments, whose diameter is known.

The two edges of a cylinder of radius r in the image are the planes through the camera that touch
it. They meet in a line parallel to its axis, and half the angle between them is asin(r / D), with
D the distance of the axis from that line: exact in perspective, however the shaft is inclined.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.features.sampling import depth_along
from endosfm3d_ros.types import DepthMap

Measurement = tuple[float, float]  # factor, sigma of its logarithm


@dataclass(frozen=True)
class ShaftConfig:
    """Lengths in px refer to the masks."""

    diameter: float = 0.008  # metres; da Vinci instruments
    sigma: float = 0.10  # of one look: masks are off by pixels, depth on metal by more
    pixels: int = 400  # of a mask
    straight: float = 0.8  # px, root mean square that an edge may be off a line
    step: int = 4  # px by which a section grows from the border of the image inwards
    least: float = 0.5  # length over width of a section
    narrow: float = 8.0  # px of width below which pixels say too little
    thickest: float = 1.15  # no other part of an instrument is wider than its shaft, by more
    middle: float = 0.25  # share of half the width, beside the axis, where depth is read


def from_shafts(
    depth: DepthMap, labels: np.ndarray, config: ShaftConfig | None = None
) -> list[Measurement]:
    """Metres per unit of the depth map, once per shaft that is seen.

    Args:
        depth: of the image.
        labels: (H, W) uint8 of the same image, 0 tissue, 255 what is no single tool.
        config: settings.
    """
    c = config or ShaftConfig()
    found = (
        _from_shaft(depth, labels == label, c) for label in np.unique(labels)
        if label not in (0, 255)
    )  # fmt: skip
    return [measurement for measurement in found if measurement is not None]


def _from_shaft(depth: DepthMap, mask: np.ndarray, config: ShaftConfig) -> Measurement | None:
    # 1 the straight part that comes in from the border of the image
    if mask.sum() < config.pixels:
        return None
    section = straight_section(mask, config)
    if section is None:
        return None
    # 2 where its axis is, in metres
    low, high = section
    height, width = mask.shape
    camera = depth.camera.resized(width, height)
    radius = config.diameter / 2
    axis, distance = _cylinder(camera.unproject(low), camera.unproject(high), radius)
    # 3 where its surface is, in the units of the depth map
    surface = _surface(depth, camera, low, high, axis, config)
    if surface is None:
        return None
    return float((distance - radius) / surface), config.sigma


def _cylinder(low: np.ndarray, high: np.ndarray, radius: float) -> tuple[np.ndarray, float]:
    """Direction (3,) of the axis, and its distance from the parallel through the camera centre.

    Args:
        low, high: (N, 3) rays along the two edges.
        radius: metres.
    """
    one, other = (np.linalg.svd(rays)[2][2] for rays in (low, high))  # normals of both planes
    if one @ other < 0:
        other = -other
    axis = np.cross(one, other)
    half = np.arcsin(np.clip(np.linalg.norm(axis), 0, 1)) / 2
    return axis / np.linalg.norm(axis), float(radius / np.sin(half))


def _surface(
    depth: DepthMap,
    camera: PinholeCamera,
    low: np.ndarray,
    high: np.ndarray,
    axis: np.ndarray,
    config: ShaftConfig,
) -> float | None:
    """Median distance of the visible middle of the shaft from the axis through the camera."""
    shares = 0.5 + 0.5 * config.middle * np.linspace(-1, 1, 5)
    pixels = np.concatenate([low + share * (high - low) for share in shares])
    rays = camera.unproject(pixels)
    z = depth_along(rays, depth)
    points = (rays * z[:, None])[np.isfinite(z)]
    if len(points) < 20:
        return None
    return float(np.median(np.linalg.norm(np.cross(points, axis), axis=1)))


def straight_section(mask: np.ndarray, config: ShaftConfig) -> tuple[np.ndarray, np.ndarray] | None:
    """(N, 2) px of both edges where a mask comes in from the border between straight lines."""
    profile = _profile(mask)
    if profile is None:
        return None
    # 1 as long as both edges are straight
    places = np.flatnonzero(profile.whole)
    places = places[: _straight(places, profile.low, profile.high, config)]
    if len(places) == 0:
        return None
    # 2 long enough to be sure of them, and no wrist: that is thinner than what it sits on
    width = np.median((profile.high - profile.low)[places])
    thickest = np.sort(profile.thickness)[-config.step :][0]
    short = width < config.narrow or len(places) < config.least * width
    if short or thickest > config.thickest * width:
        return None
    # 3 the lines
    low, high = (
        np.polyval(np.polyfit(places, edge[places], 1), places)
        for edge in (profile.low, profile.high)
    )
    return profile.pixels(places, low), profile.pixels(places, high)


@dataclass(frozen=True)
class _Profile:
    """A mask along its main direction, pixel by pixel from the border of the image inwards."""

    start: np.ndarray  # (2,) px of place 0 on the axis
    along: np.ndarray  # (2,) unit, inwards
    across: np.ndarray  # (2,) unit
    low: np.ndarray  # (M,) px across where the mask begins
    high: np.ndarray  # (M,) px across where it ends
    thickness: np.ndarray  # (M,) pixels
    whole: np.ndarray  # (M,) bool: neither empty nor cut by the border

    def pixels(self, places: np.ndarray, across: np.ndarray) -> np.ndarray:
        """(N, 2) px; a place begins half a pixel before its centre."""
        return self.start + np.outer(places + 0.5, self.along) + np.outer(across, self.across)


def _profile(mask: np.ndarray) -> _Profile | None:
    """None where the mask does not reach the border."""
    rows, columns = np.nonzero(mask)
    points = np.column_stack([columns, rows]).astype(float)
    last = np.array(mask.shape[::-1]) - 3
    at_border = ((points < 2) | (points > last)).any(axis=1)
    if not at_border.any():
        return None
    centre = points.mean(axis=0)
    across_axis, along_axis = np.linalg.eigh(np.cov(points.T))[1].T
    if (points[at_border] - centre).mean(axis=0) @ along_axis > 0:
        along_axis = -along_axis
    across, along = (points - centre) @ across_axis, (points - centre) @ along_axis
    first = along.min() - 0.5
    place = np.floor(along - first + 1e-6).astype(int)
    count = place.max() + 1
    low, high = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(low, place, across - 0.5)
    np.maximum.at(high, place, across + 0.5)
    whole = np.isfinite(low)
    whole[np.unique(place[at_border])] = False
    return _Profile(
        centre + first * along_axis, along_axis, across_axis, low, high,
        np.bincount(place, minlength=count), whole,
    )  # fmt: skip


def _straight(places: np.ndarray, low: np.ndarray, high: np.ndarray, config: ShaftConfig) -> int:
    """How many places, from the first one on, lie between straight edges."""
    best = 0
    for count in range(3 * config.step, len(places) + 1, config.step):
        x = places[:count]
        off = [
            np.sqrt(np.mean((edge[x] - np.polyval(np.polyfit(x, edge[x], 1), x)) ** 2))
            for edge in (low, high)
        ]
        if max(off) > config.straight:
            break
        best = count
    return best
