"""One pass over a bag: stamps, pairs, poses and cameras, but no image is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from endosfm3d_ros.datasets.bag_file import BagFile
from endosfm3d_ros.datasets.bag_topics import REFERENCE, TF, BagTopics
from endosfm3d_ros.datasets.matching import increasing, partners
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry import se3

SLOP = 16_000_000  # ns; half a frame at 30 Hz. Drivers that copy stamps between eyes need none
UNSCALED = "unscaled"  # in the name of a reference pose's frame: its length unit is unknown


@dataclass
class Track:
    """What one topic holds: a message's stamp, and the log time by which it is found again."""

    stamps: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)  # poses only

    def in_order(self) -> tuple[list[int], list[int]]:
        """Positions of messages that are not late or repeated, and their stamps."""
        positions = increasing(self.stamps)
        return positions, [self.stamps[position] for position in positions]


@dataclass(frozen=True)
class FrameEntry:
    """Where the parts of one frame are."""

    stamp: int
    left: int  # count of left messages before this one
    right: int | None
    pose: np.ndarray | None  # 4x4 camera-to-world
    planes: dict[str, tuple[int, int]]  # topic -> (log time, stamp) of depth, mask, ignore


@dataclass(frozen=True)
class BagIndex:
    """All frames of a bag, and the first message of some topics."""

    frames: list[FrameEntry]
    infos: dict[str, Any]  # first CameraInfo by topic
    first_image: Any
    skipped: int  # left images without partner, late or repeated
    metric: bool
    labels: set[int]  # values that occur in the masks


def build_index(bag: BagFile, topics: BagTopics) -> BagIndex:
    """Read the bag once.

    Raises:
        InputError: a damaged bag, no image, or none that has a partner in the other eye.
    """
    infos: dict[str, Any] = {}
    tracks = {name: Track() for name in topics.stamped}
    labels: set[int] = set()
    first_image, metric = None, True
    info_names = tuple(name for name in (topics.left_info, topics.right_info) if name)
    for topic, time, message in bag.messages(*tracks, *info_names):
        if topic in info_names:
            infos.setdefault(topic, message)
        elif topic == topics.poses:
            metric &= _add_poses(tracks[topic], message, time, bag.types[topic])
        else:
            tracks[topic].stamps.append(stamp_of_header(message.header))
            tracks[topic].times.append(time)
            if topic == topics.left and first_image is None:
                first_image = message
            if topic == topics.mask:
                labels.update(np.flatnonzero(np.bincount(message.data)))
    frames = _frames(tracks, topics)
    if not frames:
        raise InputError(f"{bag.path} has no image in {topics.left} with one in {topics.right}")
    skipped = len(tracks[topics.left].stamps) - len(frames)
    return BagIndex(frames, infos, first_image, skipped, metric, labels)


def stamp_of_header(header: Any) -> int:
    """Nanoseconds of a std_msgs/Header."""
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


def _frames(tracks: dict[str, Track], topics: BagTopics) -> list[FrameEntry]:
    """Left images, each with what belongs to it; in a stereo bag those without partner go."""
    left, stamps = tracks[topics.left].in_order()
    found = {name: _matches(tracks[name], stamps) for name in topics.stamped if name != topics.left}
    frames = []
    for i, stamp in enumerate(stamps):
        right = found[topics.right][i] if topics.right else None
        if topics.right and right is None:
            continue
        pose = found[topics.poses][i] if topics.poses else None
        frames.append(
            FrameEntry(
                stamp=stamp,
                left=left[i],
                right=right,
                pose=None if pose is None else tracks[topics.poses].values[pose],
                planes=_planes(tracks, topics, found, i),
            )
        )
    return frames


def _planes(
    tracks: dict[str, Track], topics: BagTopics, found: dict[str, list[int | None]], i: int
) -> dict[str, tuple[int, int]]:
    planes = {}
    for name in (topics.depth, topics.mask, topics.ignore):
        at = found[name][i] if name else None
        if at is not None:
            planes[name] = (tracks[name].times[at], tracks[name].stamps[at])
    return planes


def _matches(track: Track, stamps: list[int]) -> list[int | None]:
    """For each stamp the position of the message that belongs to it."""
    positions, others = track.in_order()
    return [None if at is None else positions[at] for at in partners(stamps, others, SLOP)]


def _add_poses(track: Track, message: Any, time: int, kind: str) -> bool:
    """Take the poses of a message; False when they say that they are not in metres."""
    metric = True
    for header, child, motion in _motions(message, kind):
        names = f"{header.frame_id}/{child}"
        if kind == TF and not REFERENCE.search(names):
            continue
        metric &= UNSCALED not in names
        track.stamps.append(stamp_of_header(header))
        track.times.append(time)
        track.values.append(_matrix(motion))
    return metric


def _motions(message: Any, kind: str) -> list[tuple[Any, str, Any]]:
    """(header, child frame, Pose or Transform) of any message with poses."""
    if kind == TF:
        return [(part.header, part.child_frame_id, part.transform) for part in message.transforms]
    motion = message.transform if hasattr(message, "transform") else message.pose
    return [(message.header, "", getattr(motion, "pose", motion))]


def _matrix(motion: Any) -> np.ndarray:
    """4x4 of a Pose or Transform."""
    if hasattr(motion, "translation"):
        vector, rotation = motion.translation, motion.rotation
    else:
        vector, rotation = motion.position, motion.orientation
    quaternion = np.array([rotation.x, rotation.y, rotation.z, rotation.w])
    translation = np.array([vector.x, vector.y, vector.z])
    if not (np.isfinite(translation).all() and np.isfinite(quaternion).all() and quaternion.any()):
        raise InputError(
            f"reference pose {translation.tolist()}, {quaternion.tolist()}: "
            "finite values and a quaternion that is not zero are accepted"
        )
    return se3.from_quaternion(translation, quaternion)
