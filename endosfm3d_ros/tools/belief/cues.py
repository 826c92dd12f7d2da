"""What one image says for and against an instrument, whoever made the mask.

Metal lies before the tissue, so depth steps across its outline; a highlight, fat or a pin lies in
it. Metal is grey where tissue is red. A network that hesitates, a shape that no shaft has and a
mask that runs into the black surround of the picture speak against.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

NAN = float("nan")


@dataclass(frozen=True)
class CueConfig:
    """Pixels at working width."""

    width: int = 160
    gap: int = 2  # px beside the outline that matching blurs
    ring: int = 7  # px beside the outline up to which tissue is compared
    around: int = 13  # px, side of the square in which both sides are averaged
    border: int = 3  # px of the picture's edge, where an outline is none
    least: int = 10  # pixels that a figure must rest on
    small: int = 12  # px of a mask that is too small to be looked at
    lit: tuple[int, int] = (40, 235)  # grey levels with a colour
    black: int = 25  # grey level of the surround of a round picture


@dataclass(frozen=True)
class Cues:
    """Figures of one tool in one image; NaN where nothing is known."""

    step: float = NAN  # log depth, of the surroundings over the tool's, median along the outline
    redness: float = NAN  # log(R / G) of the surroundings less the tool's
    black: float = NAN  # share of the mask that is black
    probability: float = NAN  # of the mask's network, mean over the mask
    iou: float = NAN  # of the model's silhouette with the mask
    enters: bool = False  # reaches the border of the picture, or of a round view in it


def cues_of(
    mask: np.ndarray,
    others: np.ndarray,
    image: np.ndarray,
    depth: np.ndarray,
    probability: float = NAN,
    iou: float = NAN,
    config: CueConfig | None = None,
) -> Cues:
    """The cues of one tool.

    Args:
        mask: (H, W) bool, the tool.
        others: (H, W) bool, other tools.
        image: (H, W, 3) uint8 RGB.
        depth: (H, W) along z in any unit, NaN unknown.
        probability: of the mask's network; NaN if it has none.
        iou: of the placed model; NaN if there is none.
        config: sizes.
    """
    config = config or CueConfig()
    mask, others = (_small(plane.astype(np.uint8), config) > 0 for plane in (mask, others))
    if np.count_nonzero(mask) < config.small:
        return Cues(probability=probability, iou=iou)
    image, depth = _small(image, config, cv2.INTER_AREA), _small(depth, config)
    plane = mask.astype(np.uint8)
    inside = cv2.erode(plane, _disc(1)) > 0
    reach = [cv2.dilate(plane, _disc(n)) > 0 for n in (config.gap, config.ring)]
    ring = reach[1] & ~reach[0] & ~others
    brightest = image.max(axis=2)
    return Cues(
        step=_step(mask, inside, ring, depth, config),
        redness=_redness(image, brightest, inside, ring, config),
        black=float((brightest[mask] < config.black).mean()),
        probability=probability,
        iou=iou,
        enters=bool((reach[0] & beyond_view(brightest, config)).any()),
    )


def beyond_view(brightest: np.ndarray, config: CueConfig) -> np.ndarray:
    """(h, w) bool: the outermost pixels, and black that reaches them."""
    outside = np.ones(brightest.shape, np.uint8)
    outside[1:-1, 1:-1] = brightest[1:-1, 1:-1] < config.black
    _, names = cv2.connectedComponents(outside, connectivity=4)
    return names == names[0, 0]


def _small(plane: np.ndarray, config: CueConfig, how: int = cv2.INTER_NEAREST) -> np.ndarray:
    height, width = plane.shape[:2]
    if width == config.width:
        return plane
    size = config.width, max(1, round(height * config.width / width))
    return cv2.resize(plane, size, interpolation=how)


def _disc(radius: int) -> np.ndarray:
    return cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))


def _step(
    mask: np.ndarray, inside: np.ndarray, ring: np.ndarray, depth: np.ndarray, config: CueConfig
) -> float:
    """Median step of log depth across the outline, each place with what lies around it."""
    known = depth > 0
    logs = np.where(known, np.log(np.where(known, depth, 1)), 0).astype(np.float32)
    within, beyond = (_local_mean(logs, side & known, config) for side in (inside, ring))
    outline = (cv2.dilate(mask.astype(np.uint8), _disc(1)) > 0) & ~mask
    edge = config.border
    outline[:edge], outline[-edge:], outline[:, :edge], outline[:, -edge:] = (False,) * 4
    steps = (beyond - within)[outline]
    steps = steps[np.isfinite(steps)]
    return float(np.median(steps)) if len(steps) >= config.least else NAN


def _local_mean(values: np.ndarray, where: np.ndarray, config: CueConfig) -> np.ndarray:
    """Mean of the values around each pixel, NaN where there is next to none."""
    size = (config.around, config.around)
    share = cv2.blur(where.astype(np.float32), size)
    total = cv2.blur(values * where, size)
    return np.where(share > 0.01, total / np.maximum(share, 1e-6), np.float32(np.nan))


def _redness(
    image: np.ndarray,
    brightest: np.ndarray,
    inside: np.ndarray,
    ring: np.ndarray,
    config: CueConfig,
) -> float:
    """How much redder the surroundings are."""
    lit = (brightest > config.lit[0]) & (image.min(axis=2) < config.lit[1])
    sides = [image[side & lit].astype(np.float32) + 4 for side in (ring, inside)]
    if min(len(side) for side in sides) < config.least:
        return NAN
    around, own = (float(np.median(np.log(side[:, 0] / side[:, 1]))) for side in sides)
    return around - own
