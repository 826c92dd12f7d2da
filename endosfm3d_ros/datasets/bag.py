"""rosbag2 recordings (MCAP and sqlite3) as sequences; needs no ROS."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from endosfm3d_ros.datasets.bag_file import BagFile
from endosfm3d_ros.datasets.bag_index import BagIndex, build_index
from endosfm3d_ros.datasets.bag_topics import RECTIFIED, RIGHT, find_topics, pictures, robot_poses
from endosfm3d_ros.datasets.names import shown
from endosfm3d_ros.datasets.sequence import LEFT_FRAME, Sequence
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs.cameras import camera_from_info, stereo_from_infos
from endosfm3d_ros.inputs.compressed import decode_compressed_depth
from endosfm3d_ros.inputs.encodings import decode_depth
from endosfm3d_ros.inputs.pixels import PixelReader, is_compressed, layout
from endosfm3d_ros.inputs.plausibility import DEPTH_VALID, require_depth
from endosfm3d_ros.inputs.report import InputReport
from endosfm3d_ros.types import Frame

LONE_FRAME_FPS = 30.0  # the rate of a bag with one frame


class BagSequence(Sequence):
    """A bag whose topics are found by type and name; frames keep the stamps of their headers.

    The bag is read once when it is opened, for its stamps, and again as frames are asked for;
    no more than two images are held. Left images without a right one within 16 ms, and late or
    repeated ones, are left out. A reference pose is that of the raw left camera. What is damaged
    or cut off is left out and said in `report`.

    Args:
        path: folder, .mcap or .db3 file.
        left: image topic, where none or several are called left.
        right: image topic of the other eye; "" reads a stereo bag as one eye.
        depth: topic of the reference depth.
        mask: topic of instrument labels.
        poses: topic of reference poses; those of a robot count only when they are named here.
        start: not used: the stamps of a bag are its own.

    Attributes:
        topics: what was found.
        skipped: left images that were left out.

    Raises:
        InputError: no bag, no image, or a camera that cannot be used.
    """

    def __init__(
        self,
        path: Path,
        *,
        left: str | None = None,
        right: str | None = None,
        depth: str | None = None,
        mask: str | None = None,
        poses: str | None = None,
        start: int = 0,
    ) -> None:
        self.path = Path(path)
        self.name = self.path.resolve().name.split(".")[0]
        self.report = InputReport()
        self.bag = BagFile(self.path)
        given = {"left": left, "right": right, "depth": depth, "mask": mask, "poses": poses}
        try:
            self.topics = find_topics(self.bag.types, given, self.bag.silent)
        except InputError as error:
            raise InputError(f"{path}: {self._with_faults(error)}") from error
        self._readers = {name: PixelReader(name, self.report) for name in self.topics.stamped}
        index = build_index(self.bag, self.topics, self._readers, self.report)
        self._frames, self.skipped, self.poses_metric = index.frames, index.skipped, index.metric
        self.fps = _rate([frame.stamp for frame in self._frames])
        self._shape: tuple[int, int] | None = None
        self._shape = self._picture(self.topics.left, self._frames[0].left).shape[:2]
        self._several_tools = len(index.labels - {0}) > 1
        self._set_cameras(index.infos)
        self._tell(index)
        self._labels = lru_cache(maxsize=1)(self._read_labels)

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        for entry in self._frames:
            yield Frame(
                stamp=entry.stamp,
                image=self._picture(self.topics.left, entry.left),
                frame_id=entry.frame_id.lstrip("/") or LEFT_FRAME,
                camera=self.camera,
                right_image=None
                if entry.right is None
                else self._picture(self.topics.right, entry.right),
                stereo=self.stereo,
            )

    def reference_depth(self, i: int) -> np.ndarray | None:
        return self._plane(self.topics.depth, i, "depth")

    def reference_pose(self, i: int) -> np.ndarray | None:
        return self._frames[i].pose

    def mask(self, i: int) -> np.ndarray | None:
        labels = self._labels(i)
        return None if labels is None else labels > 0

    def instances(self, i: int) -> np.ndarray | None:
        """The labels; None in a bag whose labels only say instrument or not."""
        return self._labels(i) if self._several_tools else None

    def ignore(self, i: int) -> np.ndarray | None:
        plane = self._plane(self.topics.ignore, i, "labels")
        return None if plane is None else plane > 0

    def mask_valid(self, i: int) -> bool:
        """Whether there is a mask that is not to be ignored altogether."""
        ignored = self.ignore(i)
        return self.mask(i) is not None and not (ignored is not None and ignored.all())

    def _set_cameras(self, infos: dict[str, Any]) -> None:
        """The cameras of the first calibrated camera_info messages, at the size of the images."""
        t, size = self.topics, self._shape[::-1]
        rectified = bool(RECTIFIED.search(t.left))
        left, right = infos.get(t.left_info), infos.get(t.right_info)
        told = {"rectified": rectified, "report": self.report}
        try:
            if left is not None:
                self.camera = camera_from_info(left, size, topic=t.left_info, **told)
            if left is not None and right is not None:
                names = (t.left_info, t.right_info)
                self.stereo = stereo_from_infos(left, right, size, topics=names, **told)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error

    def _read_labels(self, i: int) -> np.ndarray | None:
        return self._plane(self.topics.mask, i, "labels")

    def _plane(self, topic: str | None, i: int, kind: str) -> np.ndarray | None:
        """A one-channel image that belongs to frame `i`."""
        place = self._frames[i].planes.get(topic)
        return None if place is None else self._decoded(topic, place, kind)

    def _picture(self, topic: str, place: int) -> np.ndarray:
        return self._decoded(topic, place, "picture")

    def _decoded(self, topic: str, place: int, kind: str) -> np.ndarray:
        """An image of the size that the first one had; `kind` is a method of `PixelReader`."""
        message = self.bag.message(place)
        try:
            if message is None:
                raise InputError("a message that could be read before no longer can")
            image = self._pixels(topic, message, kind)
        except InputError as error:
            raise InputError(f"{self.path} {topic}: {error}") from error
        height, width = image.shape[:2]
        if self._shape is not None and (height, width) != self._shape:
            raise InputError(
                f"{self.path} {topic} has an image of {width}x{height}, but the first one is "
                f"{self._shape[1]}x{self._shape[0]}"
            )
        return image

    def _pixels(self, topic: str, message: Any, kind: str) -> np.ndarray:
        if kind != "depth":
            return getattr(self._readers[topic], kind)(message)
        depth = reference_depth_of(message)  # a frame of a reference may be empty; a stream may not
        return require_depth(depth) if np.isfinite(depth).mean() >= DEPTH_VALID else depth

    def _tell(self, index: BagIndex) -> None:
        """What a person has to know before the numbers of this bag are believed."""
        name = shown(self.path.name)
        for number, fault in enumerate(self.bag.faults):
            cure = "record it again, or go on with what is whole"
            self.report.missing(name, f"damage {number}", fault, cure)
        for topic in pictures(self.bag.silent):
            if RIGHT.search(topic) and not self.topics.right:
                self.report.missing(topic, "messages", "listed, but without messages: one eye")
        if self.skipped:
            text = f"{self.skipped} left images without partner, late or repeated are left out"
            self.report.missing(self.topics.left, "skipped", text)
        if not self.bag.checked:
            text = "stored without checksums: damage inside a picture cannot be seen"
            self.report.assumed(name, "checksums", text)
        for topic in robot_poses(self.bag.types):
            if self.topics.poses is None:
                text = "poses of the robot: not used as reference unless they are named"
                cure = f"--poses {topic}, if it is the optical centre that it describes"
                self.report.assumed(topic, "poses", text, cure)

    def _with_faults(self, error: InputError) -> str:
        return "; ".join([str(error), *self.bag.faults])


def reference_depth_of(message: Any) -> np.ndarray:
    """(H, W) float32 metres of a depth message, NaN unknown."""
    if is_compressed(message):
        return decode_compressed_depth(message.data, message.format)
    return decode_depth(**layout(message))


def _rate(stamps: list[int]) -> float:
    """Frames per second of the median interval; stamps are rounded, so thousandths are noise."""
    if len(stamps) < 2:
        return LONE_FRAME_FPS
    return round(1e9 / float(np.median(np.diff(stamps))), 3)
