"""The camera that is believed in before anything is known: from the shape of the picture alone.

Rod-lens telescopes show a disc, colonoscopes a rectangle with its corners cut off. Both end
sharply against black. A full picture may have dark corners, where the lamp does not reach; they
fade, and say nothing about the lens.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera

RAYS = 90  # from the middle of the picture outwards
DARK = 60  # grey level of the brightest channel that a surround does not exceed
LIT = 15  # grey levels above the surround: something is seen
RIM = 0.03  # of the picture's diagonal, within which a sharp border rises ...
SHARP = 40  # ... by so many grey levels, along most rays
OPEN = 0.015  # of the diagonal: nearer to the picture's side a ray has met no border
CLOSED = 0.12  # of the rays that must meet a border
NEAR = 0.03  # of the diagonal; rays meet the border so far apart
FILLED = 0.5  # of the picture, by the box around a view that is not round
RECTANGULAR = 0.93  # of the rays end beside the sides of a box
ROUND_CLOSED = 0.3  # of the rays meet the border of a disc that is cut off above and below
ROUND = 0.04  # of the radius that most of the border may be off a circle
MOST = 0.7  # of the rays
ROUNDS = 4  # of fitting without what is off
# Shares of width or diameter: da Vinci endoscopes, those with 4:3 sensors among them; rod-lens
# telescopes show 70 to 80 degrees across; colonoscopes show 140 and bend the rest.
FOCAL_OF_NARROW_PICTURE = 1.05  # 0.67 to 1.25 is met with
FOCAL_OF = {"rectangle": 0.82, "disc": 0.65, "cut corners": 0.57}
NARROW = 4 / 3
SAME_SHAPE = 0.01


@dataclass(frozen=True)
class Outline:
    """What is seen inside a black surround."""

    width: float  # px, of a disc its diameter
    shape: Literal["rectangle", "disc", "cut corners"]


def first_guess(image: np.ndarray) -> PinholeCamera:
    """Camera of a (H, W, 3) RGB uint8 image by what it shows inside its black border, centred."""
    height, width = image.shape[:2]
    outline = outline_of(image)
    if outline is not None:
        focal = FOCAL_OF[outline.shape] * outline.width
    else:
        narrow = abs(width / (NARROW * height) - 1) < SAME_SHAPE
        focal = (FOCAL_OF_NARROW_PICTURE if narrow else FOCAL_OF["rectangle"]) * width
    return PinholeCamera(width, height, focal, focal, (width - 1) / 2, (height - 1) / 2)


def outline_of(image: np.ndarray) -> Outline | None:
    """The sharp outline of a picture (H, W, 3) in a black surround; None where it fills all."""
    bright = image.max(axis=-1)
    height, width = bright.shape
    patch = max(2, min(height, width) // 50)
    corners = [np.median(part) for part in (
        bright[:patch, :patch], bright[:patch, -patch:],
        bright[-patch:, :patch], bright[-patch:, -patch:],
    )]  # fmt: skip
    if max(corners) > DARK or max(corners) - min(corners) > LIT:
        return None
    ends, rises = _border(bright, max(corners) + LIT)
    diagonal, closed = float(np.hypot(width, height)), rises > 0
    if closed.sum() < CLOSED * RAYS or np.median(rises[closed]) < SHARP:
        return None
    outline = _shape(ends, closed, NEAR * diagonal)
    filled = np.ptp(ends, axis=0).prod() / (width * height)
    return outline if outline and (outline.shape == "disc" or filled > FILLED) else None


def _shape(ends: np.ndarray, closed: np.ndarray, near: float) -> Outline | None:
    """Of the ends (RAYS, 2) of rays, some of them closed; None where it is no scope's."""
    low, high = ends.min(axis=0), ends.max(axis=0)
    if not _symmetric(ends[closed], ends, (low + high) / 2, near):
        return None
    # 1 a disc, perhaps cut off above and below
    radius = _circle(ends[closed])
    if radius is not None and closed.mean() > ROUND_CLOSED:
        return Outline(2 * radius, "disc")
    # 2 all of it lies along the sides of a box: a full picture between bars; or not its corners
    across = float(ends[0, 0] - ends[RAYS // 2, 0])
    beside = np.minimum(ends - low, high - ends).min(axis=1) < near
    return Outline(across, "rectangle" if beside.mean() > RECTANGULAR else "cut corners")


def _border(bright: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """(RAYS, 2) px where rays last see something, and how much brighter it is just inside.

    Rays that see something up to the side of the picture rise by nothing.
    """
    height, width = bright.shape
    middle, diagonal = np.array([width, height]) / 2, float(np.hypot(width, height))
    ends, rises = [], []
    for angle in np.arange(RAYS) * 2 * np.pi / RAYS:
        towards = np.array([np.cos(angle), np.sin(angle)])
        reach = float((middle / np.maximum(np.abs(towards), 1e-9)).min()) - 1
        u, v = (middle + np.arange(0.0, reach)[:, None] * towards).astype(int).T
        values = bright[v, u]
        last = int(np.flatnonzero(values > level).max(initial=0))
        is_open = reach - last < OPEN * diagonal
        rim = values[max(0, last - int(RIM * diagonal)) : last + 1]
        ends.append(middle + (reach if is_open else last) * towards)
        rises.append(0.0 if is_open else max(float(rim.max()) - level, 0.0))
    return np.array(ends), np.array(rises)


def _symmetric(places: np.ndarray, ends: np.ndarray, middle: np.ndarray, near: float) -> bool:
    """Whether most places (K, 2) have an end of a ray (N, 2) opposite to them."""
    opposite = 2 * middle - places
    away = np.linalg.norm(opposite[:, None] - ends[None], axis=2).min(axis=1)
    return bool((away < near).mean() > MOST)


def _circle(places: np.ndarray) -> float | None:
    """Radius in px of the circle through most of the places (K, 2); None where there is none."""
    kept = np.ones(len(places), bool)
    for _ in range(ROUNDS):
        A = np.column_stack([2 * places[kept], np.ones(kept.sum())])
        u, v, rest = np.linalg.lstsq(A, np.square(places[kept]).sum(axis=1), rcond=None)[0]
        radius = float(np.sqrt(max(rest + u * u + v * v, 1e-9)))
        off = np.abs(np.linalg.norm(places - (u, v), axis=1) - radius)
        kept = off <= np.quantile(off, MOST)
    return radius if np.quantile(off, MOST) < ROUND * radius else None
