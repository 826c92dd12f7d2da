"""How much memory the process has, how much it may have, and giving back what it does not use."""

from __future__ import annotations

import ctypes
import gc
import os
from contextlib import suppress
from pathlib import Path

MEGABYTE = 1e6
SHARE = 0.8  # of the machine's or the container's memory that one process may take
ARENAS = 2  # heaps of the C library; each keeps what its threads freed
M_ARENA_MAX = -8  # of malloc.h
CONTAINER = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def resident_mb() -> float:
    """Memory of this process that is in use, in MB; NaN where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / MEGABYTE


def available_mb() -> float:
    """What this process may take at most, in MB: a share of the machine, or of its container."""
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for path in CONTAINER:
        with suppress(OSError, ValueError):
            most = min(most, int(path.read_text()))
    return SHARE * most / MEGABYTE


def share_arenas() -> None:
    """Let all threads take memory from a few heaps; call it before there are threads.

    By default there are eight for each core. Threads that come and go leave images in all of them,
    between which so little is free in one piece that the process grows with every configure.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(M_ARENA_MAX, ARENAS)


def give_back() -> None:
    """Collect what nobody refers to, and return free memory to the system where it takes any."""
    gc.collect()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
