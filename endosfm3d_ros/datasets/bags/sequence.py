"""rosbag2 recordings (MCAP and sqlite3) as sequences; needs no ROS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from endosfm3d_ros.datasets.bags.file import BagFile
from endosfm3d_ros.datasets.bags.index import BagIndex, FrameEntry, build_index
from endosfm3d_ros.datasets.bags.topics import (
    RIGHT,
    find_topics,
    left_out,
    pictures,
    robot_poses,
)
from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.datasets.sequence import LEFT_FRAME, Sequence
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs import packing
from endosfm3d_ros.inputs.compressed_depth import decode_compressed_depth
from endosfm3d_ros.inputs.contract import ASKED, CameraContract, EyeTopics
from endosfm3d_ros.inputs.encodings import decode_depth
from endosfm3d_ros.inputs.pixels import PixelReader, is_compressed, layout
from endosfm3d_ros.inputs.plausibility import DEPTH_VALID, require_depth
from endosfm3d_ros.inputs.report import Action, InputReport
from endosfm3d_ros.types import Frame

REFUSED = Action.REFUSED
LOOKED_AT = 3  # pictures that are searched for a second eye
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
        image_layout: a layout of `packing.LAYOUTS`; None refuses pictures that look like both eyes.
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
        image_layout: str | None = None,
        start: int = 0,
    ) -> None:
        self.path = Path(path)
        self.name = shown(self.path.resolve().name.split(".")[0])
        self.report = InputReport()
        self._layout = packing.require_layout(image_layout or packing.SINGLE)
        self.bag = BagFile(self.path)
        given = {"left": left, "right": right, "depth": depth, "mask": mask, "poses": poses}
        try:
            self.topics = find_topics(self.bag.types, given, self.bag.silent, self._both_eyes)
        except InputError as error:
            raise InputError(f"{path}: {self._with_faults(error)}") from error
        self._readers = {name: PixelReader(name, self.report) for name in self.topics.stamped}
        index = build_index(self.bag, self.topics, self._readers, self.report)
        self._frames, self.skipped, self.poses_metric = index.frames, index.skipped, index.metric
        self.fps = _rate([frame.stamp for frame in self._frames])
        self._shape: tuple[int, int] | None = None  # of a frame
        self._shape = self._images(self._frames[0])[0].shape[:2]
        if image_layout is None and not self.topics.right:
            packing.require_single(self._some_images(), f"{shown(path)} {self.topics.left}")
        self._several_tools = len(index.labels - {0}) > 1
        self._set_cameras(index.infos)
        self._tell(index)
        self._labels = lru_cache(maxsize=1)(self._read_labels)

    def __len__(self) -> int:
        return len(self._frames)

    def __iter__(self) -> Iterator[Frame]:
        for entry in self._frames:
            left, right = self._images(entry)
            frame_id = entry.frame_id.lstrip("/") or LEFT_FRAME
            yield Frame(entry.stamp, left, frame_id, self.camera, right, self.stereo)

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
        """The cameras of the first calibrated camera_info messages, as live input reads them."""
        t = self.topics
        pair = t.right or (t.left if self._both_eyes else None)
        right = EyeTopics(pair, t.right_info or "") if pair else None
        contract = CameraContract(EyeTopics(t.left, t.left_info or ""), right, self.report)
        contract.set_size(self._shape[::-1])
        for eye, topic in (("left", t.left_info), ("right", t.right_info)):
            if topic in infos:
                contract.set_info(eye, infos[topic])
        if contract.stereo is not None or contract.pending:
            for entry in self._spread(ASKED):
                if contract.decided:
                    break
                contract.judge(*self._images(entry))
        self.camera, self.stereo = contract.camera, contract.stereo
        refused = [e for e in self.report.entries if e.topic in t.infos and e.action is REFUSED]
        if refused:
            raise InputError(f"{self.path}: {refused[0].topic} {refused[0].sentence}")

    def _spread(self, count: int) -> list[FrameEntry]:
        """Frames from all of the bag."""
        positions = np.linspace(0, len(self._frames) - 1, min(count, len(self._frames)))
        return [self._frames[round(position)] for position in positions]

    def _read_labels(self, i: int) -> np.ndarray | None:
        return self._plane(self.topics.mask, i, "labels")

    def _plane(self, topic: str | None, i: int, kind: str) -> np.ndarray | None:
        """A one-channel image that belongs to frame `i`."""
        place = self._frames[i].planes.get(topic)
        return None if place is None else self._decoded(topic, place, kind)

    @property
    def _both_eyes(self) -> bool:
        return self._layout in packing.PACKED

    def _some_images(self) -> list[np.ndarray]:
        """The first pictures, as far as they can be read; the first one can."""
        found = []
        with suppress(InputError):
            for entry in self._frames[:LOOKED_AT]:
                found.append(self._images(entry)[0])
        return found

    def _images(self, entry: FrameEntry) -> tuple[np.ndarray, np.ndarray | None]:
        """Left and right picture of a frame."""
        left = self._decoded(self.topics.left, entry.left, "picture")
        if self._both_eyes or entry.right is None:
            return left if self._both_eyes else (left, None)
        return left, self._decoded(self.topics.right, entry.right, "picture")

    def _decoded(self, topic: str, place: int, kind: str) -> Any:
        """An image of the size that the first one had; `kind` is a method of `PixelReader`.

        Of a picture of both eyes (left, right); of a plane as large as that the left half.
        """
        message = self.bag.message(place)
        try:
            if message is None:
                raise InputError("a message that could be read before no longer can")
            image = self._pixels(topic, message, kind)
        except InputError as error:
            raise InputError(f"{self.path} {topic}: {error}") from error
        both = self._both_eyes and (kind == "picture" or image.shape[:2] != self._shape)
        halves = packing.split(image, self._layout) if both else (image,)
        height, width = halves[0].shape[:2]
        if self._shape is not None and (height, width) != self._shape:
            raise InputError(
                f"{self.path} {topic} has an image of {width}x{height}, but the first one is "
                f"{self._shape[1]}x{self._shape[0]}"
            )
        return halves if both and kind == "picture" else halves[0]

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
        for topic, text, cure in left_out(self.bag.types, self.topics):
            self.report.missing(topic, "left out", text, cure)
        ids = {frame.frame_id for frame in self._frames}
        if len(ids) > 1:
            text = f"images of {len(ids)} frame_ids ({', '.join(sorted(ids)[:3])}) are mixed"
            cure = "live, images of another frame_id are rejected: one camera, one name"
            self.report.missing(self.topics.left, "frame_id", text, cure)
        if self.skipped:
            text = f"{self.skipped} left images without partner, late or repeated are left out"
            self.report.missing(self.topics.left, "skipped", text)
        if not self.bag.checked:
            text = "stored without checksums: damage inside a picture cannot be seen"
            self.report.assumed(name, "checksums", text)
        for topic in robot_poses(self.bag.types):
            if self.topics.poses is None:
                text = "poses of the robot: not used as reference unless they are named"
                cure = f"--input poses={topic}, if it is the optical centre that it describes"
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
