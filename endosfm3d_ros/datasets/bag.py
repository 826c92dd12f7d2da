"""rosbag2 recordings (MCAP and sqlite3) as sequences; needs no ROS."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from endosfm3d_ros import images
from endosfm3d_ros.datasets.bag_file import BagFile
from endosfm3d_ros.datasets.bag_index import build_index, stamp_of_header
from endosfm3d_ros.datasets.bag_topics import RECTIFIED, find_topics
from endosfm3d_ros.datasets.camera_info import camera_from_info, stereo_from_infos
from endosfm3d_ros.datasets.sequence import LEFT_FRAME, Sequence
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.types import Frame

LONE_FRAME_FPS = 30.0  # the rate of a bag with one frame
LAYOUT = ("data", "encoding", "height", "width", "step", "is_bigendian")


class BagSequence(Sequence):
    """A bag whose topics are found by type and name; frames keep the stamps of their headers.

    The bag is read once when it is opened, for its stamps, and again as frames are asked for;
    no more than two images are held. Left images without a right one within 16 ms, and late or
    repeated ones, are left out. A reference pose is that of the raw left camera.

    Args:
        path: folder with metadata.yaml, .mcap or .db3 file.
        left: image topic, where none or several are called left.
        right: image topic of the other eye; "" reads a stereo bag as one eye.
        depth: topic of the reference depth.
        mask: topic of instrument labels.
        poses: topic of reference poses.

    Attributes:
        topics: what was found.
        skipped: left images that were left out.

    Raises:
        InputError: cut off or damaged, no image, or a camera that cannot be used.
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
    ) -> None:
        self.path = Path(path)
        self.name = self.path.resolve().stem
        self._bag = BagFile(self.path)
        given = {"left": left, "right": right, "depth": depth, "mask": mask, "poses": poses}
        try:
            self.topics = find_topics(self._bag.types, given)
        except InputError as error:
            raise InputError(f"{path}: {error}") from error
        index = build_index(self._bag, self.topics)
        self._frames, self.skipped, self.poses_metric = index.frames, index.skipped, index.metric
        self.fps = _rate([frame.stamp for frame in self._frames])
        self._shape: tuple[int, int] | None = None
        self._shape = self._decoded(self.topics.left, index.first_image, _picture).shape[:2]
        self._several_tools = len(index.labels - {0}) > 1
        self._set_cameras(index.infos)
        self._labels = lru_cache(maxsize=1)(self._read_labels)

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        lefts = self._picked(self.topics.left, [frame.left for frame in self._frames])
        if self.topics.right:
            rights = self._picked(self.topics.right, [frame.right for frame in self._frames])
        else:
            rights = iter([None] * len(self))
        for entry, left, right in zip(self._frames, lefts, rights):
            yield Frame(
                stamp=entry.stamp,
                image=self._decoded(self.topics.left, left, _picture),
                frame_id=left.header.frame_id.lstrip("/") or LEFT_FRAME,
                camera=self.camera,
                right_image=None
                if right is None
                else self._decoded(self.topics.right, right, _picture),
                stereo=self.stereo,
            )

    def reference_depth(self, i: int) -> np.ndarray | None:
        return self._plane(self.topics.depth, i, images.decode_depth)

    def reference_pose(self, i: int) -> np.ndarray | None:
        return self._frames[i].pose

    def mask(self, i: int) -> np.ndarray | None:
        labels = self._labels(i)
        return None if labels is None else labels > 0

    def instances(self, i: int) -> np.ndarray | None:
        """The labels; None in a bag whose labels only say instrument or not."""
        return self._labels(i) if self._several_tools else None

    def ignore(self, i: int) -> np.ndarray | None:
        plane = self._plane(self.topics.ignore, i, images.decode_labels)
        return None if plane is None else plane > 0

    def mask_valid(self, i: int) -> bool:
        """Whether there is a mask that is not to be ignored altogether."""
        ignored = self.ignore(i)
        return self.mask(i) is not None and not (ignored is not None and ignored.all())

    def _set_cameras(self, infos: dict[str, Any]) -> None:
        """The cameras of the first camera_info messages, at the size of the images."""
        t, size = self.topics, self._shape[::-1]
        try:
            left = _of_image(infos.get(t.left_info), t.left)
            right = _of_image(infos.get(t.right_info), t.right)
            if left is not None:
                self.camera = camera_from_info(left, size)
            if left is not None and right is not None:
                self.stereo = stereo_from_infos(left, right, size)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error

    def _picked(self, topic: str, positions: list[int]) -> Iterator[Any]:
        """The messages of a topic at these increasing positions."""
        stream = self._bag.messages(topic)
        at = -1
        for position in positions:
            while at < position:
                _, _, message = next(stream)
                at += 1
            yield message

    def _read_labels(self, i: int) -> np.ndarray | None:
        return self._plane(self.topics.mask, i, images.decode_labels)

    def _plane(
        self, topic: str | None, i: int, decode: Callable[..., np.ndarray]
    ) -> np.ndarray | None:
        """A one-channel image that belongs to frame `i`."""
        found = self._frames[i].planes.get(topic)
        if found is None:
            return None
        time, stamp = found
        candidates = self._bag.messages_at(topic, time)
        matching = (one for one in candidates if stamp_of_header(one.header) == stamp)
        message = next(matching, None)
        if message is None:
            raise InputError(f"{self.path} {topic} has lost the message of {time}: it is damaged")
        return self._decoded(topic, message, lambda one: decode(**_layout(one)))

    def _decoded(self, topic: str, message: Any, decode: Callable[[Any], np.ndarray]) -> np.ndarray:
        """An image of the size that the first one had."""
        try:
            image = decode(message)
        except InputError as error:
            raise InputError(f"{self.path} {topic}: {error}") from error
        height, width = image.shape[:2]
        if self._shape is not None and (height, width) != self._shape:
            raise InputError(
                f"{self.path} {topic} has an image of {width}x{height}, but the first one is "
                f"{self._shape[1]}x{self._shape[0]}"
            )
        return image


def _picture(message: Any) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an Image or CompressedImage."""
    if hasattr(message, "encoding"):
        return images.decode_image(**_layout(message))
    return images.decode_compressed(message.data)


def _layout(message: Any) -> dict[str, Any]:
    """The arguments of the `images.decode_*` functions."""
    return {name: getattr(message, name) for name in LAYOUT}


def _of_image(info: Any, topic: str | None) -> Any:
    """What describes the image itself: K and D are those of a raw one, P of a rectified one."""
    if info is None or topic is None or not RECTIFIED.search(topic) or not info.p.any():
        return info
    K = info.p.reshape(3, 4)[:, :3].ravel()
    return replace(info, k=K, d=np.zeros(0), r=np.eye(3).ravel())


def _rate(stamps: list[int]) -> float:
    """Frames per second of the median interval; stamps are rounded, so thousandths are noise."""
    if len(stamps) < 2:
        return LONE_FRAME_FPS
    return round(1e9 / float(np.median(np.diff(stamps))), 3)
