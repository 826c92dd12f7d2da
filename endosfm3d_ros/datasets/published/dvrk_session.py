"""Sessions of the dVRK's recorders (`dvrk_data`, `data_collection`): videos, times and a bag."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from endosfm3d_ros.datasets.bags.file import BagFile
from endosfm3d_ros.datasets.bags.index import SLOP, pairs_of, stamp_of_header
from endosfm3d_ros.datasets.bags.layout import is_bag
from endosfm3d_ros.datasets.bags.motions import motions_of
from endosfm3d_ros.datasets.bags.topics import LEFT, POSE_TYPES, RIGHT, robot_poses
from endosfm3d_ros.datasets.formats.calibration import (
    MONO_FILE,
    PAIR_FILE,
    read_camera_file,
    resized_pair,
)
from endosfm3d_ros.datasets.formats.matching import increasing, partners
from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.datasets.published.dvrk_sidecar import Sidecar, read_sidecar, session_videos
from endosfm3d_ros.datasets.sequence import LEFT_FRAME, Sequence
from endosfm3d_ros.datasets.videos.file import VideoFile, fitted
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs import packing
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.types import Frame

LOOKED_AT = 3  # pictures that are searched for a second eye
LOST_AT_END = 3  # frames that an encoder may lose when it is stopped
TOLERANCE = 0.5  # of an interval: how well the two clocks of a frame must agree


@dataclass(frozen=True)
class _Place:
    """One frame of a stream."""

    stamp: int
    video: int
    position: int


class DVRKSession(Sequence):
    """A session folder; frames keep the times that the recorder noted.

    A camera file of this package (`calibration.json` or `camera.json`) in the folder calibrates
    it: sessions hold no calibration of their own.

    Args:
        folder: with *.mp4 and *.json, and `rosbag*/` beside them.
        left: stream of the left (or only) eye, where none or several are called left.
        right: stream of the other eye; "" reads one eye.
        poses: topic in the bag with poses of the optical centre; PoseStamped or TransformStamped.
        image_layout: a layout of `packing.LAYOUTS`; None takes what the recorder says, and refuses
            pictures that look like both eyes where it says nothing.
        start: not used: the recorder's clock counts.

    Raises:
        InputError: streams that cannot be told apart, times that do not fit a video, a camera file
            that does not fit, or poses that are not there.
    """

    def __init__(
        self,
        folder: Path,
        *,
        left: str | None = None,
        right: str | None = None,
        poses: str | None = None,
        image_layout: str | None = None,
        start: int = 0,
    ) -> None:
        self.folder, self.name = folder, shown(folder.resolve().name)
        self.report = InputReport()
        streams: dict[str, list[Sidecar]] = {}
        for video in session_videos(folder):
            sidecar = read_sidecar(video)
            streams.setdefault(sidecar.stream, []).append(sidecar)
        names = _chosen(folder, list(streams), left, right)
        self._layout = packing.require_layout(
            image_layout or streams[names[0]][0].image_layout or packing.SINGLE
        )
        self._videos = [[VideoFile(one.video) for one in streams[name]] for name in names]
        self._frames = self._paired([self._places(eye, streams[n]) for eye, n in enumerate(names)])
        self.fps = round(1e9 / float(np.median(np.diff([f[0].stamp for f in self._frames]))), 3)
        self._set_cameras()
        if image_layout is None and len(names) == 1 and self._layout not in packing.PACKED:
            self._require_one_eye(names[0])
        self._poses = self._read_poses(poses)

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        pictures = [self._read(eye, len(self._frames)) for eye in range(len(self._videos))]
        for places, *images in zip(self._frames, *pictures):
            left, right = images if len(images) == 2 else packing.split(images[0], self._layout)
            yield Frame(places[0].stamp, left, LEFT_FRAME, self.camera, right, self.stereo)

    def reference_pose(self, i: int) -> np.ndarray | None:
        return self._poses[i]

    def _places(self, eye: int, sidecars: list[Sidecar]) -> list[_Place]:
        """All frames of a stream in time order; segments follow each other."""
        places = []
        for at, (video, one) in enumerate(zip(self._videos[eye], sidecars)):
            video.tell_loss(self.report, shown(one.video.name))
            positions = _positions(video, one)
            places += [_Place(int(s), at, int(p)) for s, p in zip(one.stamps, positions)]
            if one.late:
                text = f"{one.late} frames are stamped at their arrival, after all that delays them"
                self.report.assumed(shown(one.video.name), "stamps", text)
        kept = increasing([place.stamp for place in places])
        if len(kept) < len(places):
            text = f"{len(places) - len(kept)} frames whose stamps do not rise are left out"
            self.report.missing(sidecars[0].stream, "stamps", text)
        return [places[position] for position in kept]

    def _paired(self, eyes: list[list[_Place]]) -> list[tuple[_Place, ...]]:
        """The frames of one eye, or those of the left one that have a partner."""
        if len(eyes) == 1:
            frames: list[tuple[_Place, ...]] = [(place,) for place in eyes[0]]
        else:
            stamps = [[place.stamp for place in eye] for eye in eyes]
            found = pairs_of(*stamps, self.name, self.report)
            frames = [(p, eyes[1][at]) for p, at in zip(eyes[0], found) if at is not None]
            if len(frames) < len(eyes[0]):
                text = f"{len(eyes[0]) - len(frames)} left frames without a right one are left out"
                self.report.missing(self.name, "skipped", text)
        if len(frames) < 2:
            raise InputError(f"{self.folder} has {len(frames)} frames: two or more are accepted")
        return frames

    def _read(self, eye: int, count: int) -> Iterator[np.ndarray]:
        """Pictures of one eye in the order of the frames."""
        chosen = [places[eye] for places in self._frames[:count]]
        for at, video in enumerate(self._videos[eye]):
            positions = [place.position for place in chosen if place.video == at]
            yield from video.frames([range(p, p + 1) for p in positions])

    def _set_cameras(self) -> None:
        size = packing.eye_size(self._videos[0][0].size, self._layout)
        for name in (PAIR_FILE, MONO_FILE):
            path = self.folder / name
            if path.is_file():
                given = read_camera_file(path)
                self.camera = fitted(given.camera, size, path)
                two = len(self._videos) == 2 or self._layout in packing.PACKED
                self.stereo = resized_pair(given.stereo, size) if given.stereo and two else None
                return
        self.report.missing(
            self.name,
            "calibration",
            "a session holds no calibration",
            f"put {PAIR_FILE} or {MONO_FILE} into the folder",
        )

    def _require_one_eye(self, stream: str) -> None:
        some = list(self._read(0, min(LOOKED_AT, len(self._frames))))
        packing.require_single(some, f"{shown(self.folder)} {stream}")

    def _read_poses(self, topic: str | None) -> list[np.ndarray | None]:
        """For each frame the pose nearest in time, within 16 ms."""
        nothing: list[np.ndarray | None] = [None] * len(self._frames)
        bags = [
            entry for entry in sorted(self.folder.iterdir()) if entry.is_dir() and is_bag(entry)
        ]
        found: list[tuple[int, np.ndarray]] = []
        for path in bags:
            bag = BagFile(path)
            for number, fault in enumerate(bag.faults):
                self.report.missing(shown(path.name), f"damage {number}", fault)
            if topic in bag.types and bag.types[topic] in POSE_TYPES:
                found += list(_track(bag, topic))
            elif topic is None:
                self._offer(robot_poses(bag.types))
        if not topic:
            return nothing
        found.sort(key=lambda entry: entry[0])
        stamps = [places[0].stamp for places in self._frames]
        rising = increasing([stamp for stamp, _ in found])
        matched = partners(stamps, [found[position][0] for position in rising], SLOP)
        poses = [None if at is None else found[rising[at]][1] for at in matched]
        if all(pose is None for pose in poses):
            span = f"{stamps[0]} to {stamps[-1]} ns"
            raise InputError(
                f"{self.folder} has {len(found)} poses in {topic}, none within 16 ms of a frame "
                f"({span}): name a topic of {', '.join(POSE_TYPES)} that was recorded with it"
            )
        return poses

    def _offer(self, topics: list[str]) -> None:
        for name in topics:
            text = "poses of the robot: not used as reference unless they are named"
            cure = f"--input poses={name}, if it is the optical centre that it describes"
            self.report.assumed(name, "poses", text, cure)


def _track(bag: BagFile, topic: str) -> Iterator[tuple[int, np.ndarray]]:
    """(stamp, 4x4) of a topic; the time of the recording where a header has none."""
    for entry, message in bag.messages(topic):
        for header, motion, _ in motions_of(message, bag.types[topic]):
            yield stamp_of_header(header) or entry.time, motion


def _chosen(folder: Path, streams: list[str], left: str | None, right: str | None) -> list[str]:
    """The stream of the left eye, and that of the right one where there is one."""
    for role, name in (("left", left), ("right", right)):
        if name and name not in streams:
            raise InputError(f"{folder} has no stream {name!r} for {role}: {', '.join(streams)}")
    lefts = [left] if left else [name for name in streams if LEFT.search(name)]
    rights = [right] if right else [name for name in streams if RIGHT.search(name)]
    others = lefts or [name for name in streams if name not in rights]
    if len(others) != 1:
        raise InputError(
            f"{folder} has the streams {', '.join(streams)}: one has to be named (--input "
            "left=NAME, and --input right=NAME for a pair)"
        )
    pair = rights[:1] if lefts and right != "" else []
    return [*others, *pair]


def _positions(video: VideoFile, sidecar: Sidecar) -> np.ndarray:
    """Where the frames that the recorder noted are in the video.

    Raises:
        InputError: the counts differ, and nothing says which frame is which.
    """
    count, places = len(sidecar.stamps), sidecar.places
    if places is not None and len(places) and places.min() >= 0 and places.max() < video.count:
        return places
    if 0 <= count - video.count <= LOST_AT_END and not sidecar.dropped:
        return np.arange(video.count)
    if sidecar.media is not None and count > 1:
        since = (sidecar.media - sidecar.media[0]) * 1e-9 * video.fps
        nearest = np.rint(since).astype(np.int64)
        fits = np.abs(since - nearest).max() < TOLERANCE / 2 and (np.diff(nearest) > 0).all()
        if fits and nearest[-1] < video.count:
            return nearest
    raise InputError(
        f"{video.path} has {video.count} frames, but {count} times beside it, and nothing says "
        "which frame is which"
    )
