"""References of SCARED keyframes: numbered files in `<name>.tar.gz`, or unpacked in `<name>/`."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from endosfm3d_ros.datasets.formats.references import NUMBER_AT_END, numbered
from endosfm3d_ros.errors import InputError

ARCHIVES = (".tar.gz", ".tgz", ".tar")


class NumberedFiles:
    """The files of one reference by frame number, best asked for in order.

    A folder goes before an archive, which can only be read forwards.

    Args:
        folder: where folder or archive lie.
        name: of both, such as frame_data.
        suffix: of the files that count.

    Attributes:
        source: the folder or archive that is read; None where there is neither.
    """

    def __init__(self, folder: Path, name: str, suffix: str) -> None:
        unpacked = folder / name
        archives = [folder / f"{name}{ending}" for ending in ARCHIVES]
        packed = next((path for path in archives if path.is_file()), None)
        self._suffix = suffix
        self._files: dict[int, Path] | None = None
        if unpacked.is_dir() and (any(unpacked.iterdir()) or packed is None):
            self.source: Path | None = unpacked
            self._files = numbered(sorted(unpacked.rglob(f"*{suffix}")))
        else:
            self.source = packed
        self._members: Iterator[tuple[int, bytes]] = iter(())
        self._at = -1  # number that was read last

    def numbers(self) -> set[int]:
        """The frame numbers that there are.

        Raises:
            InputError: no readable archive.
        """
        if self._files is not None:
            return set(self._files)
        return {number for number, _ in self._archived(content=False)}

    def all(self) -> Iterator[tuple[int, bytes]]:
        """(number, content) of every file.

        Raises:
            InputError: no readable archive or file.
        """
        if self._files is None:
            yield from self._archived()
            return
        for number in sorted(self._files):
            yield number, self._content(number)

    def read(self, number: int) -> bytes | None:
        """The content of one file; None where there is none of this number.

        Raises:
            InputError: no readable archive or file.
        """
        if self._files is not None:
            return self._content(number) if number in self._files else None
        if number <= self._at or self._at < 0:  # backwards: from the beginning again
            self._members, self._at = self._archived(), -1
        for found, content in self._members:
            self._at = found
            if found >= number:
                return content if found == number else None
        return None

    def _content(self, number: int) -> bytes:
        path = self._files[number]
        try:
            return path.read_bytes()
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror}") from error

    def _archived(self, content: bool = True) -> Iterator[tuple[int, bytes]]:
        """Number and content of the files of the archive, in its order."""
        if self.source is None:
            return
        try:
            with tarfile.open(self.source, "r|*") as archive:
                for member in archive:
                    path = Path(member.name)
                    found = NUMBER_AT_END.search(path.stem)
                    if found and path.suffix == self._suffix and member.isfile():
                        stream = archive.extractfile(member) if content else None
                        yield int(found.group(1)), stream.read() if stream else b""
        except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
            raise InputError(f"{self.source} is no readable archive: {error}") from error
