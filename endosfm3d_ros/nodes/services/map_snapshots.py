"""Copies of the map now and then, and the last of them again after a restart.

Two files are kept, so that one is whole whatever happens. A map that was loaded counts only once
the image confirms it, and gives way to a new one where it does not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from rclpy.impl.rcutils_logger import RcutilsLogger

from endosfm3d_ros.errors import EndoError
from endosfm3d_ros.nodes.services import maps as map_services
from endosfm3d_ros.nodes.services.between_frames import Between

NAMES = "snapshot_a.npz", "snapshot_b.npz"


class MapSnapshots:
    """Saves and loads on threads of their own; the executor never waits.

    Args:
        between: has work done between two frames.
        folder: of the maps.
        log: of the node.
    """

    def __init__(self, between: Between, folder: Callable[[], Path], log: RcutilsLogger) -> None:
        self._between, self._folder, self._log = between, folder, log
        self._busy = threading.Lock()

    def save(self) -> None:
        """Begin to save the map over the older copy, unless it is still being saved."""
        self._begin(self._save)

    def load(self) -> None:
        """Begin to load the newest copy that can be read."""
        self._begin(self._load)

    def _begin(self, work: Callable[[], None]) -> None:
        if not self._busy.acquire(blocking=False):
            return

        def run() -> None:
            try:
                work()
            except EndoError as error:
                self._log.debug(f"map snapshot: {error}")
            except Exception as error:  # nothing depends on it
                self._log.error(f"map snapshot: {error!r}")
            finally:
                self._busy.release()

        threading.Thread(target=run, name="map snapshot", daemon=True).start()

    def _save(self) -> None:
        folder = map_services.made(self._folder())
        absent = [name for name in NAMES if not (folder / name).exists()]
        oldest = (absent or self._newest()[::-1])[0]
        self._log.debug(map_services.save(self._between, folder, oldest))

    def _load(self) -> None:
        for name in self._newest():
            try:
                said = map_services.load(self._between, self._folder(), name)
            except EndoError as error:
                self._log.warning(f"map of before the restart: {error}")
                continue
            self._log.info(
                f"map of before the restart: {said}; it counts once the image confirms it"
            )
            return

    def _newest(self) -> list[str]:
        """Names of the copies, the newest first."""
        times = {}
        for name in NAMES:
            with suppress(OSError):
                times[name] = (self._folder() / name).stat().st_mtime
        return sorted(times, key=lambda name: -times[name])
