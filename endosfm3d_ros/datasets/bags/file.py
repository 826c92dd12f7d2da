"""Messages of a rosbag2 recording: what is whole is read, and what is not is said."""

from __future__ import annotations

import tempfile
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rosbags.typesys import Stores, get_typestore
from rosbags.typesys.store import Typestore

from endosfm3d_ros.datasets.bags.layout import ZSTD, open_storages, read_metadata
from endosfm3d_ros.datasets.bags.unpacking import unpacked_block
from endosfm3d_ros.errors import InputError

CDR = ("cdr", "")  # serializations that can be read; "" where none is named


@dataclass(frozen=True)
class Entry:
    """One message: its topic, its log time in nanoseconds and its place in the bag."""

    topic: str
    time: int
    place: int  # for `BagFile.message`


class BagFile:
    """A bag (folder, .mcap or .db3 file) whose messages are read as they are needed.

    Split, compressed, cut and reindexed bags and those without metadata.yaml are read alike: the
    storage files decide. Each is passed over once, when the bag is opened; a compressed file is
    unpacked once. Only messages of the standard ROS packages can be read; those have not changed
    over the distributions.

    Attributes:
        types: message type by topic, e.g. "sensor_msgs/msg/Image", of topics with messages.
        counts: messages by topic.
        silent: message type by topic, of topics that are listed but have no message.

    Raises:
        InputError: no bag, one of ROS 1, or nothing in it can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._scratch = tempfile.TemporaryDirectory(prefix="endosfm3d_bag_")  # goes with the object
        self._listed = read_metadata(path)
        self._storages, self._faults = open_storages(path, Path(self._scratch.name), self._listed)
        weakref.finalize(self, _release, self._storages, self._scratch)
        self._unreadable: dict[int, str] = {}  # topic by place
        self._order()
        declared = {name: kind for one in self._storages for name, kind in one.types.items()}
        self.counts = Counter(dict(zip(self._names, self._count_topics())))
        self._foreign = {
            name: encoding
            for one in self._storages
            for name, encoding in one.encodings.items()
            if encoding not in CDR and self.counts[name]
        }
        self.types = {
            name: kind
            for name, kind in declared.items()
            if self.counts[name] and name not in self._foreign
        }
        known = self._listed.types | declared
        heard = self.types.keys() | self._foreign.keys()
        self.silent = {name: kind for name, kind in known.items() if name not in heard}

    @property
    def faults(self) -> list[str]:
        """Sentences about what could not be read so far."""
        found = [self._listed.fault] if self._listed.fault else []
        found += self._faults + [fault for one in self._storages for fault in one.faults]
        for topic, encoding in sorted(self._foreign.items()):
            found.append(
                f"{topic}: messages are serialized as {encoding}, those of ROS 2 (cdr) are accepted"
            )
        for topic, count in sorted(self._listed.counts.items()):
            if self.counts[topic] < count:
                found.append(f"{topic}: {self.counts[topic]} of {count} messages are there")
        for topic, count in sorted(Counter(self._unreadable.values()).items()):
            found.append(f"{topic}: {count} messages are damaged and left out")
        return found

    @property
    def checked(self) -> bool:
        """Whether checksums vouch for all messages, so that damage cannot go unseen."""
        return not any(one.unchecked for one in self._storages)

    @property
    def unpacked(self) -> int:
        """How many chunks and rows were read so far: the work that was done."""
        return sum(one.unpacked for one in self._storages)

    def qos(self, topic: str) -> Any:
        """The offered profiles of a topic, as text or list; None where none are recorded."""
        stored = next((one.qos[topic] for one in self._storages if one.qos.get(topic)), None)
        return self._listed.qos.get(topic) or stored

    def entries(self, *topics: str) -> Iterator[Entry]:
        """The messages of some topics in the order of log time."""
        numbers = [number for number, name in enumerate(self._names) if name in topics]
        for place in np.flatnonzero(np.isin(self._topics, numbers)):
            yield Entry(self._names[self._topics[place]], int(self._times[place]), int(place))

    def messages(self, *topics: str) -> Iterator[tuple[Entry, Any]]:
        """Those messages that can be read, in the order of log time."""
        for entry in self.entries(*topics):
            message = self.message(entry.place)
            if message is not None:
                yield entry, message

    def message(self, place: int) -> Any | None:
        """The message at a place; None where it is damaged, which `faults` then counts."""
        name = self._names[self._topics[place]]
        try:
            return _types().deserialize_cdr(self.raw(place), self.types[name])
        except Exception:  # InputError of the storage, or whatever rosbags raises for wild bytes
            self._unreadable[place] = name
            return None

    def raw(self, place: int) -> bytes:
        """The serialized message at a place.

        Raises:
            InputError: it is damaged.
        """
        storage = self._storages[self._files[place]]
        with self._lock:  # frames may be read in one thread and references in another
            content = storage.read(int(self._numbers[place]))
        if content[:4] != ZSTD:  # no CDR begins so
            return content
        try:  # the bag is compressed message by message
            return unpacked_block("zstd", content)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from error

    def _order(self) -> None:
        """All messages of all files by log time; those of one time as they were written."""
        self._names = sorted({name for one in self._storages for name in one.names})
        topics, times, files, numbers = [], [], [], []
        for at, storage in enumerate(self._storages):
            own = np.array([self._names.index(name) for name in storage.names], np.uint16)
            count = len(storage.times)
            topics.append(own[np.array(storage.topics, np.int64)] if count else own[:0])
            times.append(np.array(storage.times, np.int64))
            files.append(np.full(count, at, np.uint16))
            numbers.append(np.arange(count))
        times_in_files = np.concatenate(times)
        order = np.argsort(times_in_files, kind="stable")
        self._times = times_in_files[order]
        self._topics = np.concatenate(topics)[order]
        self._files = np.concatenate(files)[order]
        self._numbers = np.concatenate(numbers)[order]

    def _count_topics(self) -> list[int]:
        return np.bincount(self._topics, minlength=len(self._names)).tolist()


def _release(storages: list[Any], scratch: tempfile.TemporaryDirectory[str]) -> None:
    for storage in storages:
        storage.close()
    scratch.cleanup()


@cache
def _types() -> Typestore:
    return get_typestore(Stores.ROS2_JAZZY)
