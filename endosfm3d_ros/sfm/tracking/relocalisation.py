"""Finding a lost camera again among the key frames that are remembered.

Every key frame leaves the descriptors of its corners (ORB, Rublee et al. 2011) and their places. A
lost image is compared with some of them at a time; a pose that enough matches agree on is then
made precise by the caller.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from endosfm3d_ros.sfm.solvers.pose_refinement import Correspondences, ransac_pose, refine_pose
from endosfm3d_ros.sfm.tracking.keyframes import Keyframe
from endosfm3d_ros.sfm.tracking.localisation import View


@dataclass(frozen=True)
class RelocalisationConfig:
    """Chosen for images of the tracking width."""

    remembered: int = 40  # key frames; of the two oldest neighbours one is forgotten
    candidates: int = 6  # key frames compared with one image
    features: int = 600
    ratio: float = 0.8  # of the best to the second-best distance (Lowe 2004)
    patch: int = 31  # px around a corner that its descriptor reads
    ransac: float = 4.0  # px
    min_inliers: int = 20
    min_share: float = 0.3  # of the matches that agree
    pixel_sigma: float = 1.0  # px


@dataclass(frozen=True)
class Remembered:
    """A key frame, and what is needed to recognise it."""

    keyframe: Keyframe
    descriptors: np.ndarray  # (N, 32) uint8
    points: np.ndarray  # (N, 3) float64 in its camera


@dataclass(frozen=True)
class Recognised:
    """Where the camera seems to be."""

    keyframe: Keyframe
    T_camera_keyframe: np.ndarray  # 4x4
    inliers: int


class KeyframeMemory:
    """`remember` key frames, `recognise` images."""

    def __init__(self, config: RelocalisationConfig | None = None) -> None:
        self.config = config or RelocalisationConfig()
        c = self.config
        self._orb = cv2.ORB.create(c.features, patchSize=c.patch, edgeThreshold=c.patch // 2)
        self._matcher = cv2.BFMatcher(cv2.NORM_HAMMING)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._entries: list[Remembered] = []
        self._next = 0  # where the next image's candidates begin

    def rescale(self, factor: float) -> None:
        """The world becomes larger by a factor."""
        self._entries = [
            replace(entry, keyframe=entry.keyframe.grown(factor), points=factor * entry.points)
            for entry in self._entries
        ]

    def __len__(self) -> int:
        return len(self._entries)

    def remember(self, keyframe: Keyframe) -> None:
        """Enter a key frame that will not be improved any more."""
        found = self._describe(keyframe.grey, keyframe.pixels)
        if found is None:
            return
        rows, descriptors = found
        self._entries.append(Remembered(keyframe, descriptors, keyframe.points[rows]))
        if len(self._entries) > self.config.remembered:
            del self._entries[1]  # thins the past out, and keeps its first view

    def recognise(self, view: View) -> Recognised | None:
        """The best candidate among some of the remembered key frames; others get their turn."""
        c, found = self.config, self._describe_anew(view.grey)
        if found is None:
            return None
        pixels, descriptors = found
        best: Recognised | None = None
        for entry in self._turn():
            if entry.keyframe.grey.shape != view.grey.shape:
                continue  # of another camera
            candidate = self._compare(entry, pixels, descriptors, view)
            if candidate and (best is None or candidate.inliers > best.inliers):
                best = candidate
        self._next += c.candidates
        return best

    def _turn(self) -> list[Remembered]:
        """The newest, and the next few of the rest."""
        count = len(self._entries)
        if count <= self.config.candidates:
            return list(self._entries)
        picks = {count - 1, *((self._next + k) % count for k in range(self.config.candidates - 1))}
        return [self._entries[k] for k in sorted(picks)]

    def _describe(
        self, grey: np.ndarray, pixels: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """(rows of `pixels`, descriptors) at given corners, turned with the patch."""
        angles = _orientations(grey, pixels, self.config.patch // 2).tolist()
        points = [
            cv2.KeyPoint(u, v, self.config.patch, angle, class_id=row)
            for row, ((u, v), angle) in enumerate(zip(pixels.tolist(), angles))
        ]
        points, descriptors = self._orb.compute(grey, points)
        if descriptors is None:
            return None
        return np.array([point.class_id for point in points]), descriptors

    def _describe_anew(self, grey: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """(pixels (N, 2), descriptors) of the image's own corners."""
        corners = cv2.goodFeaturesToTrack(grey, self.config.features, 0.005, 6)
        if corners is None:
            return None
        found = self._describe(grey, corners[:, 0])
        return None if found is None else (corners[found[0], 0], found[1])

    def _compare(
        self, entry: Remembered, pixels: np.ndarray, descriptors: np.ndarray, view: View
    ) -> Recognised | None:
        c = self.config
        pairs = self._matcher.knnMatch(entry.descriptors, descriptors, k=2)
        good = [p[0] for p in pairs if len(p) == 2 and p[0].distance < c.ratio * p[1].distance]
        if len(good) < c.min_inliers:
            return None
        rows = np.array([match.queryIdx for match in good])
        where = pixels[[match.trainIdx for match in good]]
        rays, K = view.camera.unproject(where), view.camera.K
        data = Correspondences(
            entry.points[rows], rays[:, :2] @ K[:2, :2].T + K[:2, 2], np.full(len(rows), np.nan),
            K, c.pixel_sigma, 1.0,
        )  # fmt: skip
        solution = ransac_pose(data, c.ransac)
        if solution is None:
            return None
        T, inliers = solution
        if len(inliers) < max(c.min_inliers, c.min_share * len(good)):
            return None
        T, _ = refine_pose(T, data.subset(inliers))
        if not np.isfinite(T).all():
            return None
        return Recognised(entry.keyframe, T, len(inliers))


def _orientations(grey: np.ndarray, pixels: np.ndarray, radius: int) -> np.ndarray:
    """(N,) degrees towards the brighter side of patches (Rosin 1999): roll does not matter then."""
    side = 2 * radius + 1
    padded = cv2.copyMakeBorder(grey, radius, radius, radius, radius, cv2.BORDER_CONSTANT)
    u, v = pixels.round().astype(int).T
    patches = sliding_window_view(padded, (side, side))[v, u].astype(np.float32)
    offset = np.arange(-radius, radius + 1, dtype=np.float32)
    x, y = patches.sum(axis=1) @ offset, patches.sum(axis=2) @ offset
    return np.degrees(np.arctan2(y, x)) % 360
