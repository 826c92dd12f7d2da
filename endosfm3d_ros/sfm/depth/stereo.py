"""Depth from a calibrated pair: rectify, match, check, and turn back into the raw left frame."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.depth.pair_watch import PairWatch
from endosfm3d_ros.sfm.depth.rectifier import Rectifier, within_surfaces
from endosfm3d_ros.sfm.depth.source import DepthSource
from endosfm3d_ros.types import DepthMap, Frame, ScaleSource


@dataclass(frozen=True)
class StereoConfig:
    """Values for a da Vinci scope (5 mm baseline class, tissue at 2 to 25 cm)."""

    min_depth: float = 0.018  # m; sets the largest disparity that is searched
    max_depth: float = 0.30  # m; beyond, one pixel of disparity is a centimetre
    max_width: int = 640  # px; wider images are matched at this width
    block: int = 7  # px; odd
    smoothness: tuple[int, int] = (4, 24)  # SGM penalties per block pixel (Hirschmueller 2008)
    uniqueness: int = 5  # percent by which the best match must win
    consistency: int = 1  # px; left-right check
    speckle_area: int = 100  # px; smaller isolated regions are dropped
    largest_step: float = 0.75  # px that the sub-pixel refinement may add
    step_damping: float = 1.0  # grey levels squared; without texture nothing is refined
    residual: float = 6.0  # grey levels of matching error at which confidence is 1/e
    texture: float = 4.0  # grey levels of horizontal gradient at which confidence is halved
    swapped_ratio: float = 2.0  # how much better the eyes must match when exchanged

    def __post_init__(self) -> None:
        if not 0 < self.min_depth < self.max_depth:
            raise ConfigurationError(
                f"min_depth {self.min_depth} m, max_depth {self.max_depth} m: "
                "0 < min_depth < max_depth is accepted"
            )


class StereoSource(DepthSource):
    """Metric depth from semi-global matching (Hirschmueller 2008, as in OpenCV)."""

    name = "stereo"
    takes_raw = True
    reads_calibration = True

    def __init__(self, config: StereoConfig | None = None) -> None:
        self.config = config or StereoConfig()
        self._watch = PairWatch()
        self._share = 1.0
        self.reset()

    def reset(self) -> None:
        """Forget the geometry; the next frame brings its own."""
        self._rectifier: Rectifier | None = None
        self._eyes_checked = False
        self._watch.reset()

    def lens(self, frame: Frame, believed: PinholeCamera) -> PinholeCamera:
        """The left camera as it was calibrated. Raises InputError as `estimate`."""
        return self.rectifier_for(frame).geometry.left

    def match_at(self, share: float) -> None:
        """Match at this share of `max_width` from the next frame on; depth keeps its size."""
        if share != self._share:
            self._share, self._rectifier = share, None

    def estimate(self, frame: Frame, camera: PinholeCamera) -> DepthMap:
        """Depth in the raw left optical frame, at most `max_width` wide.

        Raises:
            InputError: no right image or calibration, a baseline that is not positive, images
                of a size other than the calibration's, eyes that look exchanged, or a calibration
                that does not fit the images.
        """
        rectifier = self.rectifier_for(frame)
        # 1 rectify
        left, right = rectifier.rectify(frame.image, frame.right_image)
        self._check_eyes(left, right, rectifier)
        pair = frame.stamp, left, right, rectifier.disparity_offset
        self._watch.check(*pair)
        # 2 match; NaN where left-right check, uniqueness or speckle filter object
        disparity = self.match(left, right, rectifier)
        # 3 below a pixel: the matcher alone prefers whole disparities
        disparity, residual = self._refine(left, right, disparity)
        # 4 depth and what it is worth
        with np.errstate(divide="ignore", invalid="ignore"):
            depth = rectifier.focal_baseline / (disparity - rectifier.disparity_offset)
            depth[(depth < self.config.min_depth) | (depth > self.config.max_depth)] = np.nan
        self._watch.check_coverage(float(np.isfinite(depth).mean()), *pair)
        confidence = self._confidence(left, residual)
        # 5 back into the raw left frame
        depth, confidence = rectifier.to_raw(depth, confidence)
        # 6 always of the same size, however wide the images were that were matched
        camera = rectifier.geometry.left.undistorted().resized(*self._size_for(frame, 1.0))
        depth, confidence = _enlarged(depth, camera.size), _enlarged(confidence, camera.size)
        confidence = np.where(np.isfinite(depth), confidence, 0).astype(np.float32)
        return DepthMap(depth, confidence, camera, self.name, ScaleSource.STEREO, frame.stamp)

    def _size_for(self, frame: Frame, share: float) -> tuple[int, int]:
        """(width, height) at this share of the width at most."""
        height, width = frame.image.shape[:2]
        scale = min(1.0, share * self.config.max_width / width)
        return round(width * scale), round(height * scale)

    def rectifier_for(self, frame: Frame) -> Rectifier:
        """The maps for this frame's geometry, made once."""
        if frame.right_image is None or frame.stereo is None:
            raise InputError("stereo depth needs a right image and the calibration of both eyes")
        geometry = frame.stereo
        if not geometry.baseline > 0:
            raise InputError(
                f"stereo baseline {geometry.baseline * 1e3:.3f} mm: the right camera_info must "
                "carry -fx * baseline in P[3]; are left and right exchanged?"
            )
        height, width = frame.image.shape[:2]
        if (width, height) != geometry.left.size or frame.right_image.shape[:2] != (height, width):
            raise InputError(
                f"left image {width}x{height}, right image {frame.right_image.shape[1]}x"
                f"{frame.right_image.shape[0]}, calibration {geometry.left.width}x"
                f"{geometry.left.height}: all three must agree"
            )
        if self._rectifier is None or self._rectifier.geometry is not geometry:
            self._rectifier = Rectifier(geometry, *self._size_for(frame, self._share))
        return self._rectifier

    def _disparity_range(self, rectifier: Rectifier) -> tuple[int, int]:
        """(first, count) with a count that is a multiple of 16, as the matcher wants."""
        c, fb = self.config, rectifier.focal_baseline
        first = int(np.floor(fb / c.max_depth + rectifier.disparity_offset))
        last = int(np.ceil(fb / c.min_depth + rectifier.disparity_offset))
        width = rectifier.size[0]
        return first, int(np.clip(np.ceil((last - first) / 16) * 16, 16, max(width // 32, 1) * 16))

    def _matcher(self, first: int, count: int, block: int) -> cv2.StereoSGBM:
        c = self.config
        return cv2.StereoSGBM.create(
            minDisparity=first,
            numDisparities=count,
            blockSize=block,
            P1=c.smoothness[0] * block**2,
            P2=c.smoothness[1] * block**2,
            disp12MaxDiff=c.consistency,
            preFilterCap=31,
            uniquenessRatio=c.uniqueness,
            speckleWindowSize=c.speckle_area,
            speckleRange=2,
            mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
        )

    def match(self, left: np.ndarray, right: np.ndarray, rectifier: Rectifier) -> np.ndarray:
        """Disparity (H, W) float32 in px, NaN where there is none."""
        first, count = self._disparity_range(rectifier)
        return _padded_match(self._matcher(first, count, self.config.block), left, right)

    def _refine(
        self, left: np.ndarray, right: np.ndarray, disparity: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """One Gauss-Newton step per pixel on the grey values of its window (Lucas and Kanade 1981).

        The mean difference of a window is taken out first: the eyes differ in exposure.

        Returns:
            Disparity (H, W) and the remaining difference of grey values (H, W), both float32.
        """
        c, window = self.config, (self.config.block, self.config.block)
        difference, matched = _difference(left, right, disparity)
        difference -= cv2.blur(difference, window)
        gradient = cv2.Sobel(matched + left, cv2.CV_32F, 1, 0, ksize=3, scale=1 / 16)
        energy = cv2.blur(gradient * gradient, window)
        step = -cv2.blur(difference * gradient, window) / (energy + c.step_damping)
        refined = disparity + np.clip(step, -c.largest_step, c.largest_step)
        return refined, cv2.blur(np.abs(difference + gradient * step), (5, 5))

    def _confidence(self, left: np.ndarray, residual: np.ndarray) -> np.ndarray:
        """exp(-residual) of the matched grey values times how much texture there was to match."""
        gradient = cv2.convertScaleAbs(cv2.Sobel(left, cv2.CV_16S, 1, 0, ksize=3), alpha=0.25)
        texture = cv2.blur(gradient, (9, 9)).astype(np.float32)
        return np.exp(-residual / self.config.residual) * texture / (texture + self.config.texture)

    def _check_eyes(self, left: np.ndarray, right: np.ndarray, rectifier: Rectifier) -> None:
        """Once per geometry: do the eyes match far better when they are exchanged?"""
        if self._eyes_checked:
            return
        first, count = self._disparity_range(rectifier)
        count = max(16, count // 4 // 16 * 16 + 16)
        small = [cv2.resize(eye, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
                 for eye in (left, right)]  # fmt: skip
        as_given, exchanged = (
            self._match_quality(self._matcher(first // 4, count, 5), *pair)
            for pair in (small, small[::-1])
        )
        if exchanged > self.config.swapped_ratio * as_given and exchanged > 0.2:
            raise InputError(
                f"left and right images look exchanged: {as_given:.0%} of the pixels match as "
                f"given, {exchanged:.0%} the other way round"
            )
        self._eyes_checked = as_given > 0.2

    @staticmethod
    def _match_quality(matcher: cv2.StereoSGBM, left: np.ndarray, right: np.ndarray) -> float:
        """Share of pixels with a consistent match whose grey values agree."""
        disparity = _padded_match(matcher, left, right)
        difference, _ = _difference(left, right, disparity)
        return float((np.isfinite(disparity) & (np.abs(difference) < 6)).mean())


def _enlarged(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """(H, W) float32 at a (width, height)."""
    if values.shape[::-1] == size:
        return values
    nearest = cv2.resize(values, size, interpolation=cv2.INTER_NEAREST)
    smooth = cv2.resize(values, size, interpolation=cv2.INTER_LINEAR)
    return within_surfaces(smooth, nearest)


def _padded_match(matcher: cv2.StereoSGBM, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Match with the left border padded: the matcher skips the first `numDisparities` columns."""
    pad = matcher.getMinDisparity() + matcher.getNumDisparities()
    padded = [cv2.copyMakeBorder(eye, 0, 0, pad, 0, cv2.BORDER_REPLICATE) for eye in (left, right)]
    fixed_point = matcher.compute(*padded)[:, pad:]
    disparity = fixed_point.astype(np.float32) / 16
    disparity[fixed_point < matcher.getMinDisparity() * 16] = np.nan
    # A match left of the right image's border is a match with the padding.
    columns = np.arange(disparity.shape[1], dtype=np.float32)
    disparity[disparity > columns] = np.nan
    return disparity


def _difference(
    left: np.ndarray, right: np.ndarray, disparity: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Left minus matched right grey values, and the matched ones; (H, W) float32."""
    height, width = left.shape
    u = np.arange(width, dtype=np.float32) - np.nan_to_num(disparity)
    v = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
    matched = cv2.remap(right.astype(np.float32), u, v, cv2.INTER_LINEAR)
    return left - matched, matched
