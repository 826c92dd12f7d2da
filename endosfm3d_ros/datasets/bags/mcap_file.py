"""MCAP files read record by record: checksums are verified, and what a cut left whole is kept.

Follows the format's specification (mcap.dev/spec). The summary at the end of the file is only
used to find the next chunk behind a damaged record; a file without one is read all the same.
"""

from __future__ import annotations

import struct
import zlib
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from endosfm3d_ros.datasets.bags.unpacking import unpacked_block
from endosfm3d_ros.errors import InputError

MAGIC = b"\x89MCAP0\r\n"
SCHEMA, CHANNEL, MESSAGE, CHUNK, CHUNK_INDEX, DATA_END = 0x03, 0x04, 0x05, 0x06, 0x08, 0x0F
FOOTER = 0x02
RECORD = struct.Struct("<BQ")  # opcode, length of what follows
MESSAGE_HEAD = struct.Struct("<HIQQ")  # channel, sequence, log time, publish time
CHUNK_HEAD = struct.Struct("<QQQII")  # first and last time, size, checksum, length of the codec
FOOTER_BYTES = RECORD.size + 20 + len(MAGIC)
NONSENSE = (struct.error, UnicodeDecodeError, KeyError, ValueError)  # of bytes that were changed
CACHED_CHUNKS = 2  # unpacked, for messages that are read in turn


class McapFile:
    """The messages of one file, each found again by its number in `entries`.

    Attributes:
        types: message type by topic, for topics that are declared, with or without messages.
        qos: offered quality of service by topic, as the YAML text in the file.
        encodings: how messages are serialized, by topic; ROS 2 writes "cdr".
        topics, times: topic number and log time (ns) of each message, in the order of the file.
        names: topic by topic number.
        faults: half sentences about what is damaged or missing.
        unpacked: how many chunks were unpacked so far.
        unchecked: how many of them carry no checksum.

    Raises:
        InputError: no MCAP file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.types: dict[str, str] = {}
        self.qos: dict[str, str] = {}
        self.encodings: dict[str, str] = {}
        self.names: list[str] = []
        self.topics, self.times = array("H"), array("q")
        self.faults: list[str] = []
        self.unpacked = self.unchecked = 0
        self._chunks, self._offsets, self._sizes = array("q"), array("q"), array("q")
        self._schemas: dict[int, str] = {}
        self._channels: dict[int, int] = {}
        self._cache: OrderedDict[int, bytes] = OrderedDict()
        self._damaged = 0
        self._declared_again = False
        self._tail: tuple[int, bytes] | None = None  # of a chunk that is not whole
        self._file = path.open("rb")
        self._size = path.stat().st_size
        if self._file.read(len(MAGIC)) != MAGIC:
            raise InputError(f"{path} does not start like an MCAP file")
        self._scan()
        if self._damaged:
            self.faults.append(
                f"{self._damaged} chunks of {path.name} are damaged: their messages are left out"
            )

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def read(self, number: int) -> bytes:
        """The content of a message."""
        chunk, offset, size = self._chunks[number], self._offsets[number], self._sizes[number]
        if chunk < 0:
            return self._bytes(offset, size)
        return self._content(chunk)[offset : offset + size]

    # --- the pass over the file ----------------------------------------------------------------

    def _scan(self) -> None:
        """Every record of the data section; behind a broken one go on at the next chunk."""
        at, known = len(MAGIC), None
        while at + RECORD.size <= self._size:
            opcode, length = RECORD.unpack(self._bytes(at, RECORD.size))
            end = at + RECORD.size + length
            whole = 0 < opcode <= DATA_END and end <= self._size
            if whole and opcode in (DATA_END, FOOTER):
                return
            if whole and self._taken(opcode, at, length):
                at = end
                continue
            known = self._known_chunks() if known is None else known
            later = [position for position in known if position > at]
            if not later:
                self._keep_tail(opcode, at)
                break
            self._damaged += 1
            at = min(later)
        self.faults.append(
            f"{self.path.name} is cut off or damaged: it can be read up to byte {at} of "
            f"{self._size}"
        )

    def _taken(self, opcode: int, at: int, length: int) -> bool:
        """Note one record of the data section; False where its content makes no sense."""
        start = at + RECORD.size
        try:
            if opcode == CHUNK:
                self._add_chunk(at)
            elif opcode == MESSAGE:
                head = self._bytes(start, MESSAGE_HEAD.size)
                self._add_message(head, -1, start, length)
            elif opcode in (SCHEMA, CHANNEL):
                self._declare(opcode, self._bytes(start, length))
        except NONSENSE:
            return False
        return True

    def _add_chunk(self, at: int) -> None:
        """The messages of a chunk, if it is what was written."""
        try:
            self._add_records(self._content(at), at)
        except (InputError, *NONSENSE):
            self._damaged += 1

    def _add_records(self, content: bytes, chunk: int) -> None:
        at = 0
        while at < len(content):
            opcode, length = RECORD.unpack_from(content, at)
            start, at = at + RECORD.size, at + RECORD.size + length
            if at > len(content):
                raise struct.error("a record longer than its chunk")
            if opcode == MESSAGE:
                self._add_message(content[start : start + MESSAGE_HEAD.size], chunk, start, length)
            elif opcode in (SCHEMA, CHANNEL):
                self._declare(opcode, content[start:at])

    def _add_message(self, head: bytes, chunk: int, start: int, length: int) -> None:
        channel, _, time, _ = MESSAGE_HEAD.unpack(head)
        if channel not in self._channels:  # declared in a chunk that is damaged
            self._declare_again()
        topic = self._channels[channel]
        if time >= 2**63 or length < MESSAGE_HEAD.size:
            raise struct.error("a log time or length that no recorder writes")
        self.topics.append(topic)
        self.times.append(time)
        self._chunks.append(chunk)
        self._offsets.append(start + MESSAGE_HEAD.size)
        self._sizes.append(length - MESSAGE_HEAD.size)

    def _declare(self, opcode: int, content: bytes) -> None:
        """A schema or a channel."""
        number = struct.unpack_from("<H", content)[0]
        if opcode == SCHEMA:
            self._schemas[number] = _string(content, 2)[0]
            return
        schema = struct.unpack_from("<H", content, 2)[0]
        topic, at = _string(content, 4)
        encoding, at = _string(content, at)
        kind = self._schemas.get(schema, "")
        topic = of_one_type(topic, kind, self.types)
        if topic not in self.types:
            self.types[topic] = kind
            self.encodings[topic] = encoding.lower()
            self.names.append(topic)
        self._channels[number] = self.names.index(topic)
        self.qos.setdefault(topic, _metadata(content, at).get("offered_qos_profiles", ""))

    def _declare_again(self) -> None:
        """Take schemas and channels from the summary, which repeats them."""
        if self._declared_again:
            return
        self._declared_again = True
        for opcode, content in self._summary():
            if opcode in (SCHEMA, CHANNEL):
                self._declare(opcode, content)

    def _keep_tail(self, opcode: int, at: int) -> None:
        """The last record is not whole; messages of a chunk that is stored plainly may be."""
        start = at + RECORD.size + CHUNK_HEAD.size
        if opcode != CHUNK or start + 8 > self._size:
            return
        if CHUNK_HEAD.unpack(self._bytes(at + RECORD.size, CHUNK_HEAD.size))[4] != 0:
            return
        self._tail = (at, self._bytes(start + 8, self._size - start - 8))
        with suppress(*NONSENSE):
            self._add_records(self._tail[1], at)

    def _known_chunks(self) -> list[int]:
        """Where the summary says that chunks begin; [] where there is none to be trusted."""
        found = []
        for opcode, content in self._summary():
            if opcode == CHUNK_INDEX and len(content) >= 32:
                found.append(struct.unpack_from("<Q", content, 16)[0])
        return [position for position in found if position < self._size]

    def _summary(self) -> Iterator[tuple[int, bytes]]:
        """(opcode, content) of the records behind the data section, where they can be trusted."""
        if self._size < FOOTER_BYTES + len(MAGIC):
            return
        tail = self._bytes(self._size - FOOTER_BYTES, FOOTER_BYTES)
        opcode, length, start, _, crc = struct.unpack_from("<BQQQI", tail)
        closed = tail.endswith(MAGIC) and (opcode, length) == (FOOTER, 20)
        if not (closed and 0 < start < self._size):
            return
        summary = self._bytes(start, self._size - start - len(MAGIC) - 4)
        if crc and zlib.crc32(summary) != crc:
            return
        at = 0
        while at + RECORD.size <= len(summary):
            opcode, length = RECORD.unpack_from(summary, at)
            at += RECORD.size + length
            yield opcode, summary[at - length : at]

    # --- bytes ---------------------------------------------------------------------------------

    def _bytes(self, at: int, length: int) -> bytes:
        self._file.seek(at)
        return self._file.read(length)

    def _content(self, at: int) -> bytes:
        """The unpacked records of the chunk at a position."""
        if self._tail is not None and at == self._tail[0]:
            return self._tail[1]
        if at in self._cache:
            self._cache.move_to_end(at)
            return self._cache[at]
        self._cache[at] = self._unpack(at)
        while len(self._cache) > CACHED_CHUNKS:
            self._cache.popitem(last=False)
        return self._cache[at]

    def _unpack(self, at: int) -> bytes:
        """Read, unpack and check a chunk.

        Raises:
            InputError: it is not what was written.
        """
        self.unpacked += 1
        start = at + RECORD.size
        head = self._bytes(start, CHUNK_HEAD.size)
        _, _, size, crc, name = CHUNK_HEAD.unpack(head)
        codec = self._bytes(start + CHUNK_HEAD.size, min(name, 64))
        stored = struct.unpack("<Q", self._bytes(start + CHUNK_HEAD.size + name, 8))[0]
        if stored > self._size:
            raise InputError(f"{self.path}: a chunk of {stored} bytes in {self._size}")
        content = unpacked(codec, self._bytes(start + CHUNK_HEAD.size + name + 8, stored), size)
        if len(content) != size or (crc and zlib.crc32(content) != crc):
            raise InputError(f"{self.path}: the chunk at {at} does not have its checksum")
        self.unchecked += crc == 0
        return content


def unpacked(codec: bytes, content: bytes, size: int) -> bytes:
    """The `size` bytes of a chunk; InputError where they cannot be had."""
    if codec in (b"zstd", b"lz4"):
        return unpacked_block(codec.decode(), content, size)
    if codec:
        raise InputError(f"a chunk packed with {codec!r}: zstd and lz4 are accepted")
    return content


def _string(content: bytes, at: int) -> tuple[str, int]:
    """A string with its length before it, and where it ends."""
    length = struct.unpack_from("<I", content, at)[0]
    end = at + 4 + length
    if end > len(content):
        raise struct.error("a string longer than its record")
    return content[at + 4 : end].decode(), end


def _metadata(content: bytes, at: int) -> dict[str, str]:
    """The pairs of texts of a channel."""
    size = struct.unpack_from("<I", content, at)[0]
    at, end, pairs = at + 4, at + 4 + size, {}
    while at < end:
        key, at = _string(content, at)
        pairs[key], at = _string(content, at)
    return pairs


def of_one_type(topic: str, kind: str, types: dict[str, str]) -> str:
    """The name itself, or, where it stands for another message type already, one with its type."""
    known = types.get(topic, kind)
    return topic if known == kind or not kind else f"{topic} ({kind})"
