"""Messages of a rosbag2 recording, where a damaged file is one sentence and never a wrong image."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from rosbags.rosbag2 import Reader
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from endosfm3d_ros.errors import InputError


class BagFile:
    """A bag (folder with metadata.yaml, .mcap or .db3) whose messages are read as they are needed.

    Only messages of the standard ROS packages can be read; those have not changed over the
    distributions.

    Attributes:
        types: message type by topic, e.g. "sensor_msgs/msg/Image".

    Raises:
        InputError: no bag, or one that is cut off or damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        for file in [path] if path.suffix == ".db3" else path.glob("*.db3"):
            _require_whole(file)
        with self._reader() as reader:
            self.types = {entry.topic: entry.msgtype for entry in reader.connections}
            self._counts = Counter()
            for entry in reader.connections:
                self._counts[entry.topic] += entry.msgcount

    def messages(self, *topics: str) -> Iterator[tuple[str, int, Any]]:
        """(topic, log time in nanoseconds, message) in the order of log time.

        Raises:
            InputError: the file is damaged, or holds another number of messages than it says.
        """
        seen: Counter[str] = Counter()
        for topic, time, message in self._read(topics, None, None):
            seen[topic] += 1
            yield topic, time, message
        for topic in topics:
            if seen[topic] != self._counts[topic]:
                raise InputError(
                    f"{self.path} {topic} has {seen[topic]} of the {self._counts[topic]} messages "
                    "that the bag lists: the file is cut off or damaged"
                )

    def messages_at(self, topic: str, time: int) -> Iterator[Any]:
        """The messages of a topic with one log time."""
        # rosbags leaves out a chunk that ends exactly at `start`
        for _, logged, message in self._read((topic,), time - 1, time + 1):
            if logged == time:
                yield message

    def _read(
        self, topics: tuple[str, ...], start: int | None, stop: int | None
    ) -> Iterator[tuple[str, int, Any]]:
        types = _types()
        with self._reader() as reader:  # one per stream: two streams may run side by side
            wanted = [entry for entry in reader.connections if entry.topic in topics]
            if not wanted:  # rosbags takes an empty selection as everything
                return
            for entry, time, data in reader.messages(wanted, start, stop):
                yield entry.topic, time, types.deserialize_cdr(data, entry.msgtype)

    @contextmanager
    def _reader(self) -> Iterator[Reader]:
        try:
            with Reader(self.path) as reader:
                yield reader
        except InputError:
            raise
        except Exception as error:  # rosbags has no error of its own for most kinds of damage
            reason = str(error).rstrip(".") or type(error).__name__
            raise InputError(f"{self.path} is no bag, or cut off or damaged: {reason}") from error


def _require_whole(file: Path) -> None:
    """Refuse a cut sqlite3 file: SQLite would read zeros past its end.

    Header fields of https://www.sqlite.org/fileformat.html: page size at byte 16 (1 stands for
    65536), pages at 28, which count where the numbers at 24 and 92 agree.
    """
    with file.open("rb") as stream:
        head = stream.read(100)
    if len(head) == 100:
        page, pages = struct.unpack_from(">H", head, 16)[0], struct.unpack_from(">I", head, 28)[0]
        size = (65536 if page == 1 else page) * pages
        if head[24:28] == head[92:96] and file.stat().st_size < size:
            raise InputError(
                f"{file} has {file.stat().st_size} of {size} bytes: it is cut off or damaged"
            )


@cache
def _types() -> Typestore:
    return get_typestore(Stores.ROS2_JAZZY)
