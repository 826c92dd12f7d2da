"""Views worth remembering: where the map was seen from, and what it looked like there.

When nobody knows the camera any more, the image is compared with them by a small picture, and the
best ones are tried as places to go on from (tiny images, after Klein and Murray 2008). Colours of
tissue that the camera does not show now are refined on them, one view at a time.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.tissue.observation import Observation, Replay


@dataclass(frozen=True)
class KeyframeConfig:
    """How many, and how different."""

    capacity: int = 16
    apart: float = 0.15  # of the median depth, camera translation; or as many radians
    thumbnail: int = 40  # px; width of the small picture
    blur: float = 1.5  # px, of the small picture
    most_hidden: float = 0.4  # share of the image; more instrument than that is no key frame
    least_alike: float = 0.5  # correlation; less is another place
    candidates: int = 2  # that are tried


@dataclass(frozen=True)
class Keyframe:
    """One remembered view."""

    T_map_camera: np.ndarray  # 4x4
    depth: float  # metres, median
    picture: np.ndarray  # (h, w) float32 grey, NaN where hidden
    replay: Replay | None = None  # None after loading from a file


class Keyframes:
    """At most `capacity` of them; the most redundant one gives way.

    Args:
        config: how many, and how different.
    """

    def __init__(self, config: KeyframeConfig) -> None:
        self.config = config
        self._frames: list[Keyframe] = []
        self._turn = 0

    def __len__(self) -> int:
        return len(self._frames)

    def consider(self, seen: Observation, T_map_camera: np.ndarray, stamp: int) -> None:
        """Remember a view where none is near."""
        known = np.isfinite(seen.depth)
        if not known.any() or seen.tool.mean() > self.config.most_hidden:
            return
        depth = float(np.median(seen.depth[known][::16]))
        rgb = np.rint(255 * seen.rgb).astype(np.uint8)
        replay = Replay(stamp, seen.camera, rgb, seen.color.copy())
        frame = Keyframe(T_map_camera.copy(), depth, self._picture(seen), replay)
        if any(distance(frame, other) < self.config.apart for other in self._frames):
            return
        if len(self._frames) >= self.config.capacity:
            self._forget_one()
        self._frames.append(frame)

    def next_round_robin(self, stamps: list[int]) -> Replay | None:
        """The next view to look at again, of those whose stamps the map can be rewound to."""
        known = [f.replay for f in self._frames if f.replay and f.replay.stamp in stamps]
        self._turn += 1
        return known[self._turn % len(known)] if known else None

    def retrieve(self, seen: Observation) -> list[np.ndarray]:
        """4x4 poses of the views that look most like an image, best first."""
        picture = self._picture(seen)
        scores = [correlation(picture, frame.picture) for frame in self._frames]
        best = np.argsort(scores)[::-1][: self.config.candidates]
        return [self._frames[k].T_map_camera for k in best if scores[k] > self.config.least_alike]

    def move(self, T: np.ndarray) -> None:
        """Follow a rigid motion of the whole map, 4x4."""
        self._frames = [replace(f, T_map_camera=T @ f.T_map_camera) for f in self._frames]

    def rescale(self, factor: float) -> None:
        """Poses and depths become larger by a factor."""
        self._frames = [
            replace(f, T_map_camera=se3.scaled(f.T_map_camera, factor), depth=factor * f.depth)
            for f in self._frames
        ]

    def state(self) -> dict[str, np.ndarray]:
        """Everything by name, for `restore`."""
        poses = [frame.T_map_camera for frame in self._frames]
        return {
            "keyframe_poses": np.array(poses).reshape(-1, 4, 4),
            "keyframe_depths": np.array([frame.depth for frame in self._frames]),
            "keyframe_pictures": np.array([frame.picture for frame in self._frames]),
        }

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take over a `state`."""
        names = ("keyframe_poses", "keyframe_depths", "keyframe_pictures")
        rows = zip(*(state[name] for name in names))
        self._frames = [Keyframe(pose, float(depth), picture) for pose, depth, picture in rows]

    def _picture(self, seen: Observation) -> np.ndarray:
        height, width = seen.grey.shape
        size = self.config.thumbnail, max(1, round(self.config.thumbnail * height / width))
        shown = cv2.resize(seen.color.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        grey = cv2.resize(seen.grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        grey = cv2.GaussianBlur(grey, (0, 0), self.config.blur)
        return np.where(shown > 0.5, grey, np.float32(np.nan))

    def _forget_one(self) -> None:
        """The one that is nearest to another; of the two, the older."""
        nearest = [
            min(distance(a, b) for b in self._frames if b is not a) if len(self) > 1 else 0.0
            for a in self._frames
        ]
        del self._frames[int(np.argmin(nearest))]


def distance(a: Keyframe, b: Keyframe) -> float:
    """Camera translation as a share of the depth, or radians of rotation; the larger."""
    T = se3.inverse(a.T_map_camera) @ b.T_map_camera
    return max(float(np.linalg.norm(T[:3, 3])) / a.depth, se3.rotation_angle(T))


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """-1..1 over the pixels (H, W) that both show; -1 where they share less than a quarter.

    Pictures of another aspect are of another camera: they share nothing.
    """
    if a.shape != b.shape:
        return -1.0
    both = np.isfinite(a) & np.isfinite(b)
    if both.mean() < 0.25:
        return -1.0
    x, y = a[both] - a[both].mean(), b[both] - b[both].mean()
    return float((x * y).sum() / max(np.sqrt((x * x).sum() * (y * y).sum()), 1e-6))
