"""One pass over a bag: stamps, pairs, poses and cameras, but no image is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from endosfm3d_ros.datasets.bags.file import BagFile, Entry
from endosfm3d_ros.datasets.bags.motions import motions_of
from endosfm3d_ros.datasets.bags.topics import BagTopics
from endosfm3d_ros.datasets.formats.matching import increasing, partners
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs.eye_sync import paired
from endosfm3d_ros.inputs.pixels import PixelReader, is_compressed
from endosfm3d_ros.inputs.report import InputReport

SLOP = 16_000_000  # ns; half a frame at 30 Hz. Drivers that copy stamps between eyes need none
INFO_TOLERANCE = 1e-3  # relative; drivers round what they send


@dataclass
class Track:
    """What one topic holds: for each message its stamp, log time and place in the bag."""

    stamps: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)  # poses; frame_ids of images

    def add(self, entry: Entry, stamp: int, value: Any = None) -> None:
        self.stamps.append(stamp)
        self.times.append(entry.time)
        self.places.append(entry.place)
        self.values.append(value)

    def in_order(self) -> tuple[list[int], list[int]]:
        """Positions of messages that are not late or repeated, and their stamps."""
        positions = increasing(self.stamps)
        return positions, [self.stamps[position] for position in positions]


@dataclass(frozen=True)
class FrameEntry:
    """Where the parts of one frame are."""

    stamp: int
    frame_id: str
    left: int  # place in the bag
    right: int | None
    pose: np.ndarray | None  # 4x4 camera-to-world
    planes: dict[str, int]  # topic -> place of depth, mask, ignore


@dataclass(frozen=True)
class BagIndex:
    """All frames of a bag, and the cameras that it names."""

    frames: list[FrameEntry]
    infos: dict[str, Any]  # first calibrated CameraInfo by topic
    skipped: int  # left images without partner, late or repeated
    metric: bool
    labels: set[int]  # values that occur in the masks


def build_index(
    bag: BagFile, topics: BagTopics, readers: Mapping[str, PixelReader], report: InputReport
) -> BagIndex:
    """Read the bag once.

    Args:
        bag: the bag.
        topics: which topic is what.
        readers: of the labels, by topic.
        report: hears of cameras that change, images that are damaged and stamps that are missing.

    Raises:
        InputError: no image, or none that has a partner in the other eye.
    """
    content = _Content(bag, topics, readers, report)
    for entry, message in bag.messages(*topics.stamped, *topics.infos):
        content.add(entry, message)
    content.settle()
    frames = _frames(content.tracks, topics, report)
    if not frames:
        raise InputError(_without_frames(bag, topics, content.tracks))
    skipped = len(content.tracks[topics.left].stamps) - len(frames)
    return BagIndex(frames, content.infos, skipped, content.metric, content.labels)


def stamp_of_header(header: Any) -> int:
    """Nanoseconds of a std_msgs/Header."""
    return header.stamp.sec * 1_000_000_000 + header.stamp.nanosec


class _Content:
    """What has been seen of a bag so far."""

    def __init__(
        self,
        bag: BagFile,
        topics: BagTopics,
        readers: Mapping[str, PixelReader],
        report: InputReport,
    ) -> None:
        self._bag, self._topics, self._readers, self._report = bag, topics, readers, report
        self.tracks = {name: Track() for name in topics.stamped}
        self.infos: dict[str, Any] = {}
        self.labels: set[int] = set()
        self.metric = True
        self._damaged: dict[str, list[tuple[Entry, Any]]] = {}

    def add(self, entry: Entry, message: Any) -> None:
        if entry.topic in self._topics.infos:
            self._add_info(entry.topic, message)
        elif entry.topic == self._topics.poses:
            self._add_poses(entry, message)
        elif _consistent(message):
            self._add_image(entry, message)
        else:
            self._damaged.setdefault(entry.topic, []).append((entry, None))

    def settle(self) -> None:
        """Decide about what only the whole bag tells: damage, and stamps that are not set."""
        for topic, lost in self._damaged.items():
            track = self.tracks[topic]
            if not track.stamps:  # all are so: the sender's fault, and the decoder says which
                for entry, _ in lost:
                    track.add(entry, entry.time, "")
                continue
            text = f"{len(lost)} images contradict their own size: they are left out"
            self._report.missing(topic, "damaged images", text)
        for topic, track in self.tracks.items():
            if track.stamps and not any(track.stamps):
                track.stamps = list(track.times)
                text = "headers carry no time: the times of the recording are taken"
                self._report.assumed(topic, "stamps", text, "let the driver stamp its images")

    def _add_image(self, entry: Entry, message: Any) -> None:
        stamp = stamp_of_header(message.header)
        self.tracks[entry.topic].add(entry, stamp, message.header.frame_id)
        if entry.topic == self._topics.mask:
            self.labels.update(np.unique(self._readers[entry.topic].labels(message)).tolist())

    def _add_info(self, topic: str, message: Any) -> None:
        """The first calibrated one counts; drivers send zeros until they have loaded theirs."""
        if message.k[0] == 0:
            return
        first = self.infos.setdefault(topic, message)
        if not _same_camera(first, message):
            text = (
                f"calibration changes within the bag (fx {first.k[0]:.2f} to {message.k[0]:.2f} "
                "px): the first one is used throughout"
            )
            self._report.assumed(topic, "change", text, "cut the bag where the optics changed")

    def _add_poses(self, entry: Entry, message: Any) -> None:
        for header, motion, metric in motions_of(message, self._bag.types[entry.topic]):
            self.metric &= metric
            self.tracks[entry.topic].add(entry, stamp_of_header(header), motion)


def _consistent(message: Any) -> bool:
    """Whether an image can be what its sender meant: damage shows in sizes before pixels."""
    if is_compressed(message):
        return len(message.data) > 0
    return 0 < message.step * message.height <= len(message.data)


def _same_camera(first: Any, other: Any) -> bool:
    same = (first.width, first.height) == (other.width, other.height)
    return same and np.allclose(first.k, other.k, rtol=INFO_TOLERANCE, atol=INFO_TOLERANCE)


def pairs_of(
    lefts: list[int], rights: list[int], name: str, report: InputReport
) -> list[int | None]:
    """For each left stamp the position of the right one of the same moment.

    Raises:
        InputError: stamps that do not tell which belong together; says by how much they differ.
    """
    found, offset = paired(lefts, rights, SLOP)
    if offset is not None and not offset.certain:
        raise InputError(f"{name}: {offset.words} ({offset.cure}, or read one eye: --input right=)")
    if offset is not None and offset.words:
        report.converted(name, "offset", offset.words, offset.cure)
    return found


def _frames(tracks: dict[str, Track], topics: BagTopics, report: InputReport) -> list[FrameEntry]:
    """Left images, each with what belongs to it; in a stereo bag those without partner go."""
    track = tracks[topics.left]
    left, stamps = track.in_order()
    found = {name: _matches(tracks[name], stamps) for name in topics.stamped if name != topics.left}
    if topics.right:
        positions, rights = tracks[topics.right].in_order()
        pairs = pairs_of(stamps, rights, topics.right, report)
        found[topics.right] = [None if at is None else positions[at] for at in pairs]
    frames = []
    for i, stamp in enumerate(stamps):
        right = found[topics.right][i] if topics.right else None
        if topics.right and right is None:
            continue
        pose = found[topics.poses][i] if topics.poses else None
        frames.append(
            FrameEntry(
                stamp=stamp,
                frame_id=track.values[left[i]],
                left=track.places[left[i]],
                right=None if right is None else tracks[topics.right].places[right],
                pose=None if pose is None else tracks[topics.poses].values[pose],
                planes=_planes(tracks, topics, found, i),
            )
        )
    return frames


def _planes(
    tracks: dict[str, Track], topics: BagTopics, found: dict[str, list[int | None]], i: int
) -> dict[str, int]:
    planes = {}
    for name in (topics.depth, topics.mask, topics.ignore):
        at = found[name][i] if name else None
        if at is not None:
            planes[name] = tracks[name].places[at]
    return planes


def _matches(track: Track, stamps: list[int]) -> list[int | None]:
    """For each stamp the position of the message that belongs to it."""
    positions, others = track.in_order()
    return [None if at is None else positions[at] for at in partners(stamps, others, SLOP)]


def _without_frames(bag: BagFile, topics: BagTopics, tracks: dict[str, Track]) -> str:
    """Why there is not one frame."""
    if topics.right and tracks[topics.left].stamps:
        why = f"has no image in {topics.left} with one in {topics.right} within 16 ms"
        return f"{bag.path} {why} (--input right= reads one eye)"
    faults = "; ".join(bag.faults)
    return f"{bag.path} has no image in {topics.left} that can be read: {faults}"
