"""Libraries that a checkout compiled for itself, kept in the user's cache."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

from endosfm3d_ros.engines.progress import still_working
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.splatting import build


class CompiledLibraries:
    """A folder of libraries, one sub-folder per digest of sources.

    Beside each library lies its checksum: a file that is cut off or damaged crashes the process
    that loads it, so it is compiled again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def obtain(self, instruction_set: str, report: Callable[[str], None]) -> Path:
        """The library of the sources that are here; compiled when it is missing.

        Two processes wait for each other. Raises ConfigurationError where it cannot be made.
        """
        place = self.folder / build.source_digest()[:16]
        path = place / build.library_name(instruction_set)
        if _whole(path):
            return path
        try:
            place.mkdir(parents=True, exist_ok=True)
            with FileLock(place / "lock"):
                if not _whole(path):
                    self._compile(path, instruction_set, report)
        except OSError as error:
            raise ConfigurationError(f"{place} cannot be written: {error}") from error
        return path

    def _compile(self, path: Path, instruction_set: str, report: Callable[[str], None]) -> None:
        self._sweep(path.parent)
        with still_working(report, f"compiling the CPU rasteriser for {instruction_set}"):
            build.build_library(path.parent, instruction_set)
        _checksum_file(path).write_text(_checksum(path))

    @staticmethod
    def _sweep(place: Path) -> None:
        """What killed builds left behind; the lock is held, so nobody uses it."""
        for left_over in place.glob(f"{build.LEFT_OVER}*"):
            with suppress(OSError):
                shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()


def _checksum_file(path: Path) -> Path:
    return path.with_name(path.name + ".sha256")


def _checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _whole(path: Path) -> bool:
    """Whether the library is there as it was compiled."""
    try:
        return _checksum(path) == _checksum_file(path).read_text()
    except (OSError, ValueError):
        return False
