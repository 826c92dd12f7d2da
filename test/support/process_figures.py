"""Memory, threads and descriptors of a process over time."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

PAGE = os.sysconf("SC_PAGE_SIZE") / 1e6


def amount(name: str, usual: float) -> float:
    """How long or how often a series runs: `ENDOSFM3D_<NAME>`, or what is usual."""
    return float(os.environ.get(f"ENDOSFM3D_{name}", usual))


def report(sentence: str) -> None:
    """Shown with `pytest -s`."""
    sys.stdout.write(f"\n{sentence}\n")


@dataclass(frozen=True)
class Figures:
    """Of one moment."""

    time: float  # s
    megabytes: float
    threads: int
    descriptors: int

    @classmethod
    def of(cls, pid: int) -> Figures:
        """Of a process that lives."""
        folder = Path("/proc", str(pid))
        pages = int((folder / "statm").read_text().split()[1])
        counts = (len(list((folder / part).iterdir())) for part in ("task", "fd"))
        return cls(time.monotonic(), pages * PAGE, *counts)


def slope(rows: list[Figures], share: float = 0.5) -> float:
    """MB a minute over the last part of a series, by least squares."""
    rows = rows[int(len(rows) * (1 - share)) :]
    return 60 * float(np.polyfit([r.time for r in rows], [r.megabytes for r in rows], 1)[0])


def growth(megabytes: list[float], share: float = 0.5) -> float:
    """MB a round over the last part of a series, by least squares."""
    tail = megabytes[int(len(megabytes) * (1 - share)) :]
    return float(np.polyfit(range(len(tail)), tail, 1)[0])
