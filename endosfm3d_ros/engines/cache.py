"""The folder of built engines: one file per key, replaced as a whole, shared by processes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from endosfm3d_ros.engines.entry import DamagedEntry, Entry, EntryCard, read_card, read_entry
from endosfm3d_ros.engines.files import write_whole
from endosfm3d_ros.engines.progress import still_working
from endosfm3d_ros.errors import ConfigurationError

log = logging.getLogger(__name__)

SUFFIX = ".engine"
LIMIT_BYTES = 4 << 30  # about 40 engines of the depth network


class EngineCache:
    """Engine files in `folder`, each named after its network, back end, precision and key."""

    def __init__(self, folder: Path, limit_bytes: int = LIMIT_BYTES) -> None:
        self.folder = folder
        self.limit_bytes = limit_bytes

    def path(self, network: str, backend: str, precision: str, key: str) -> Path:
        """Where the engine of that key lies or would lie."""
        return self.folder / f"{network}-{backend}-{precision}-{key[:16]}{SUFFIX}"

    def load(self, path: Path, key: str) -> Entry | None:
        """The engine at `path`, or nothing when there is none or it is damaged (logged)."""
        if not path.exists():
            return None
        try:
            entry = read_entry(path, key)
        except DamagedEntry as error:
            log.warning("cached engine %s is rebuilt: %s", path, error)
            return None
        self._mark_used(path)
        return entry

    def store(self, path: Path, entry: Entry) -> None:
        """Write, flush to disk and rename; then make room if the folder is above its limit.

        A folder that cannot be written costs a warning and the next start, nothing else.
        """
        if not write_whole(path, entry.to_bytes()):
            return
        with suppress(FileNotFoundError):  # another process makes room at the same time
            self._drop_oldest(keep=path)

    @staticmethod
    def version(path: Path) -> int | None:
        """Another number for every engine that was stored there; None where there is none."""
        try:
            return path.stat().st_ino
        except OSError:
            return None

    @contextmanager
    def locked(self, path: Path, report: Callable[[str], None]) -> Iterator[None]:
        """Hold the engine at `path`; waits, and says so, while another process or thread has it.

        The operating system releases the lock of a process that was killed. A folder that
        cannot be written is shared with nobody, so nothing is locked there.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(path.with_name(path.name + ".lock"))
            _acquire(lock, report, path.name)
        except OSError as error:
            log.debug("engine folder %s is not writable: %s", self.folder, error)
            yield
            return
        try:
            yield
        finally:
            lock.release()

    def entries(self) -> list[tuple[Path, EntryCard | None]]:
        """Every engine file with its card; without a card where it cannot be read."""
        return [(path, _card_or_none(path)) for path in sorted(self.folder.glob(f"*{SUFFIX}"))]

    def clean(self) -> int:
        """Delete all engines, locks, timings and left-overs; returns the bytes that were freed.

        Raises:
            ConfigurationError: a file cannot be deleted.
        """
        freed = 0
        for path in (*self.folder.glob(f"*{SUFFIX}*"), *self.folder.glob("*.timings")):
            try:
                freed += path.stat().st_size
                path.unlink()
            except OSError as error:
                raise ConfigurationError(
                    f"engine file {path} cannot be deleted: {error}"
                ) from error
        return freed

    def _drop_oldest(self, keep: Path) -> None:
        """Keep the folder below its limit."""
        files = sorted(self.folder.glob(f"*{SUFFIX}"), key=lambda path: path.stat().st_mtime)
        total = sum(path.stat().st_size for path in files)
        for path in files:
            if total <= self.limit_bytes:
                return
            if path != keep:
                total -= path.stat().st_size
                log.info("dropping engine %s, unused for longest", path.name)
                path.unlink()

    @staticmethod
    def _mark_used(path: Path) -> None:
        try:
            path.touch()
        except OSError:
            log.debug("%s is read-only", path)


def _acquire(lock: FileLock, report: Callable[[str], None], name: str) -> None:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        with still_working(report, f"waiting for another process that builds {name}"):
            lock.acquire()


def _card_or_none(path: Path) -> EntryCard | None:
    try:
        return read_card(path)
    except DamagedEntry:
        return None
