"""sqlite3 storage of rosbag2, where a damaged file loses messages and never makes them up."""

from __future__ import annotations

import os
import shutil
import sqlite3
import struct
from array import array
from pathlib import Path
from urllib.parse import quote

from endosfm3d_ros.datasets.bags.mcap_file import of_one_type
from endosfm3d_ros.errors import InputError

MAGIC = b"SQLite format 3\0"
CONTENT = "SELECT data FROM messages WHERE id = ?"


class SqliteFile:
    """The messages of one .db3 file, each found again by its number.

    A write-ahead log beside it, left by a recorder that was killed, is read too.

    Attributes:
        types, qos, encodings, names, topics, times, faults, unpacked, unchecked: as in `McapFile`;
            SQLite has no checksums, so all is unchecked.

    Raises:
        InputError: no database of rosbag2.
    """

    def __init__(self, path: Path, scratch: Path) -> None:
        """
        Args:
            path: the file.
            scratch: folder for a copy where there is a write-ahead log.
        """
        self.path = path
        self.types: dict[str, str] = {}
        self.qos: dict[str, str] = {}
        self.encodings: dict[str, str] = {}
        self.names: list[str] = []
        self.topics, self.times = array("H"), array("q")
        self.faults: list[str] = []
        self.unpacked = 0
        self.unchecked = 1
        self._rows = array("q")
        self._base = _opened(path, scratch)
        try:
            numbers = self._declare()
            self._check()
            self._scan(numbers)
        except sqlite3.Error as error:
            self._base.close()
            raise InputError(f"{path} is no bag, or cut off or damaged: {error}") from error

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def read(self, number: int) -> bytes:
        """The content of a message.

        Raises:
            InputError: it is damaged.
        """
        self.unpacked += 1
        try:
            return bytes(self._base.execute(CONTENT, (self._rows[number],)).fetchone()[0])
        except (sqlite3.Error, TypeError) as error:
            raise InputError(f"{self.path} row {self._rows[number]}: {error}") from error

    def _declare(self) -> dict[int, int]:
        """Topic number by the table's own id."""
        columns = {row[1] for row in self._base.execute("PRAGMA table_info(topics)")}
        profiles = "offered_qos_profiles" if "offered_qos_profiles" in columns else "''"
        numbers = {}
        for key, listed, kind, encoding, qos in self._base.execute(
            f"SELECT id, name, type, serialization_format, {profiles} FROM topics ORDER BY id"
        ):
            name = of_one_type(listed, kind, self.types)
            if name not in self.types:
                self.types[name] = kind
                self.names.append(name)
                self.qos[name] = qos
                self.encodings[name] = str(encoding).lower()
            numbers[key] = self.names.index(name)
        if not columns:
            raise sqlite3.DatabaseError("it has no table of topics")
        return numbers

    def _check(self) -> None:
        """Refuse nothing here, but know whether rows have to be looked at one by one."""
        missing = _missing_bytes(self.path)
        if missing:
            self.faults.append(f"{self.path.name} is cut off or damaged: {missing}")
            return
        verdict = self._base.execute("PRAGMA quick_check(1)").fetchone()[0]
        if verdict != "ok":
            text = " ".join(verdict.split())
            self.faults.append(f"{self.path.name} is damaged, SQLite says: {text}")

    def _scan(self, numbers: dict[int, int]) -> None:
        """Note all rows; of a damaged file those whose content can be read."""
        doubtful = bool(self.faults)
        query = "SELECT id, topic_id, timestamp FROM messages NOT INDEXED ORDER BY id"
        rows = []
        try:
            rows.extend(self._base.execute(query))
        except sqlite3.Error as error:
            self.faults.append(f"{self.path.name} is damaged, SQLite says: {error}")
        if doubtful:
            rows = [row for row in rows if self._readable(row[0])]
            # SQLite reads zeros where only the last page of a row is missing: not that one
            rows = rows[:-1] if _missing_bytes(self.path) else rows
        for row, topic, time in rows:
            if topic in numbers and isinstance(time, int) and 0 <= time < 2**63:
                self._rows.append(row)
                self.topics.append(numbers[topic])
                self.times.append(time)

    def _readable(self, row: int) -> bool:
        try:
            return self._base.execute(CONTENT, (row,)).fetchone() is not None
        except sqlite3.Error:
            return False


def _opened(path: Path, scratch: Path) -> sqlite3.Connection:
    log = path.with_name(path.name + "-wal")
    if log.is_file() and log.stat().st_size:
        for file in (path, log):
            shutil.copyfile(file, scratch / file.name)
        return sqlite3.connect(scratch / path.name, check_same_thread=False)
    # the absolute path as bytes: names need not be UTF-8, nor free of ? and #
    name = quote(os.fsencode(path.absolute()))
    base = sqlite3.connect(f"file:{name}?immutable=1", uri=True, check_same_thread=False)
    base.execute("PRAGMA writable_schema = ON")  # a cut file is opened all the same
    return base


def _missing_bytes(file: Path) -> str:
    """How much of a file is not there; "" for a whole one.

    Header fields of https://www.sqlite.org/fileformat.html: page size at byte 16 (1 stands for
    65536), pages at 28, which count where the numbers at 24 and 92 agree.
    """
    with file.open("rb") as stream:
        head = stream.read(100)
    if len(head) < 100:
        return "its header is not whole"
    page, pages = struct.unpack_from(">H", head, 16)[0], struct.unpack_from(">I", head, 28)[0]
    size, there = (65536 if page == 1 else page) * pages, file.stat().st_size
    if head[24:28] == head[92:96] and there < size:
        return f"it has {there} of {size} bytes"
    return ""
