"""What of an image may be believed: for geometry strictly, for colour less so."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import DepthMap


@dataclass(frozen=True)
class ValidityConfig:
    """Lengths in pixels of the working image (320 wide)."""

    tool_margin_geometry: int = 6  # depth bleeds over the edge of an instrument
    tool_margin_color: int = 1  # motion blur along its edge
    tool_margin_clear: int = 6  # shadows and reflections beside an instrument
    tool_rim: int = 5  # so far from it, pixels that look more like it than like tissue are withheld
    rim_window: int = 41  # side of the neighbourhood whose colours are compared
    highlight: float = 0.9  # darkest channel; highlights move with the lamp, not with the tissue
    highlight_margin: int = 3
    dark: float = 0.05  # brightest channel; outside the field of view, or without texture
    discontinuity: float = 0.1  # relative depth step to the next pixel
    speck: int = 120  # pixels; smaller islands of depth are mistakes of the matcher
    min_confidence: float = 0.02  # of the depth


@dataclass(frozen=True)
class Observation:
    """One image at the working size with what of it may be believed."""

    camera: PinholeCamera
    rgb: np.ndarray  # (h, w, 3) float32 0..1
    grey: np.ndarray  # (h, w) uint8
    depth: np.ndarray  # (h, w) float32 metres, NaN where not to be used
    confidence: np.ndarray  # (h, w) float32 0..1
    geometry: np.ndarray  # (h, w) bool: motion may be measured here
    color: np.ndarray  # (h, w) bool: colour may be taken from here
    clear: np.ndarray  # (h, w) bool: ... and it is the tissue's own, no instrument is near
    tool: np.ndarray  # (h, w) bool: an instrument hides the tissue


def working_camera(camera: PinholeCamera, width: int) -> PinholeCamera:
    """The same view at another width in pixels."""
    return camera.resized(width, max(1, round(camera.height * width / camera.width)))


def observe(
    image: np.ndarray,
    depth: DepthMap,
    labels: np.ndarray | None,
    camera: PinholeCamera,
    config: ValidityConfig,
) -> Observation:
    """Bring an image to the working size and decide what of it may be believed.

    Args:
        image: (H, W, 3) uint8 RGB, undistorted.
        depth: of any size.
        labels: (H, W) uint8, 0 = tissue; None where no instruments are known.
        camera: the working size.
        config: thresholds.
    """
    small = cv2.resize(image, camera.size, interpolation=cv2.INTER_AREA)
    # 1 instruments and dark pixels hide everything
    tool = _tool_mask(labels, camera)
    brightest, darkest = _extremes(small)
    lit = brightest > 255 * config.dark
    color = ~_grown(tool, config.tool_margin_color) & lit
    clear = color
    if tool.any():
        color &= ~_tool_like(small, tool, config)
        clear = color & ~_grown(tool, config.tool_margin_clear)
    # 2 highlights have a colour but neither depth nor motion
    highlight = _grown(darkest > 255 * config.highlight, config.highlight_margin)
    geometry = ~_grown(tool, config.tool_margin_geometry) & lit & ~highlight
    # 3 depth without its discontinuities
    z = cv2.resize(depth.depth, camera.size, interpolation=cv2.INTER_NEAREST)
    confidence = cv2.resize(depth.confidence, camera.size, interpolation=cv2.INTER_NEAREST)
    usable = geometry & np.isfinite(z) & (confidence > config.min_confidence)
    usable &= ~discontinuities(z, config.discontinuity)
    usable = without_specks(usable, config.speck)
    return Observation(
        camera=camera,
        rgb=small.astype(np.float32) * np.float32(1 / 255),
        grey=cv2.cvtColor(small, cv2.COLOR_RGB2GRAY),
        depth=np.where(usable, z, np.float32(np.nan)),
        confidence=confidence,
        geometry=geometry,
        color=color,
        clear=clear,
        tool=tool,
    )


def discontinuities(depth: np.ndarray, step: float) -> np.ndarray:
    """(H, W) bool where depth jumps by more than the share `step` to a neighbouring pixel."""
    known, around = np.isfinite(depth), np.ones((3, 3))
    smallest = cv2.erode(np.where(known, depth, np.float32(np.inf)), around)
    largest = cv2.dilate(np.where(known, depth, np.float32(0)), around)
    return largest - smallest > 2 * step * depth  # NaN compares false


def without_specks(mask: np.ndarray, smallest: int) -> np.ndarray:
    """(H, W) bool without islands of fewer than so many pixels."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    kept = stats[:, cv2.CC_STAT_AREA] >= smallest
    kept[0] = False
    return kept[labels]


def _extremes(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W) largest and smallest channel; much faster than a reduction over the last axis."""
    r, g, b = cv2.split(image)
    return cv2.max(cv2.max(r, g), b), cv2.min(cv2.min(r, g), b)


def _tool_like(small: np.ndarray, tool: np.ndarray, config: ValidityConfig) -> np.ndarray:
    """Pixels along the edge of the mask whose colour is nearer to the tool's than to tissue's.

    A mask is rarely exact to the pixel; what it leaves of an instrument must not become tissue.
    Decided at half the size.
    """
    near = _grown(tool, config.tool_rim)
    size = (small.shape[1] // 2, small.shape[0] // 2)
    half = cv2.resize(small, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    masks = (_resized(tool, size), ~_resized(near, size))
    differences = (half - _local_mean(half, mask, config.rim_window // 2) for mask in masks)
    to_tool, to_tissue = (np.einsum("hwc,hwc->hw", d, d) for d in differences)
    return _grown(near & ~tool & _resized(to_tool < to_tissue, small.shape[1::-1]), 1) & near


def _resized(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Bool mask at another (width, height), nearest neighbour."""
    return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0


def _local_mean(rgb: np.ndarray, mask: np.ndarray, window: int) -> np.ndarray:
    """(H, W, 3) mean colour of the masked pixels in a square window."""
    weight = mask.astype(np.float32)
    weighted = cv2.merge([*cv2.split(rgb * weight[..., None]), weight])
    sums = cv2.blur(weighted, (window, window))
    return sums[..., :3] / np.maximum(sums[..., 3:], np.float32(1e-4))


def _tool_mask(labels: np.ndarray | None, camera: PinholeCamera) -> np.ndarray:
    """Every working pixel that an instrument touches."""
    if labels is None:
        return np.zeros((camera.height, camera.width), bool)
    mask = (labels > 0).astype(np.uint8) * 255
    return cv2.resize(mask, camera.size, interpolation=cv2.INTER_AREA) > 25


def _grown(mask: np.ndarray, margin: int) -> np.ndarray:
    """Bool mask dilated by a disc of radius `margin` px."""
    side = 2 * margin + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return cv2.dilate(mask.astype(np.uint8), disc).astype(bool)


@dataclass(frozen=True)
class DepthNoise:
    """What a depth source is good for; all relative to the depth."""

    sigma: float  # standard deviation
    gate: float  # larger differences are another surface


METRIC_NOISE = DepthNoise(sigma=0.005, gate=0.03)  # stereo: 0.3 % median error, rounded up
RELATIVE_NOISE = DepthNoise(sigma=0.05, gate=0.25)  # one eye: smooth, flickering, unscaled


@dataclass(frozen=True)
class Replay:
    """What of a view is kept for colours: a third of a megabyte."""

    stamp: int  # ns
    camera: PinholeCamera
    rgb: np.ndarray  # (h, w, 3) uint8
    shown: np.ndarray  # (h, w) bool; no instrument, not dark
