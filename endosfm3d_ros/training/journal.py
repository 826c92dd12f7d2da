"""Logs of a training: a CSV file, and TensorBoard events where tensorboardX is installed."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np

LOG = "log.csv"
COLUMNS = ("step", "epoch", "flow_loss", "depth_loss", "validation_loss", "fx_share", "fy_share",
           "flow_rate", "depth_rate", "seconds")  # fmt: skip


class Journal:
    """Rows of numbers by step. After a resume it goes on where the checkpoint was made.

    Args:
        folder: of the run.
        length: bytes of the log at the checkpoint; what was written after it is cut off, because
            those steps are made again.
        step: of the checkpoint.
    """

    def __init__(self, folder: Path, length: int = 0, step: int = 0) -> None:
        self._file = (folder / LOG).open("a+", newline="")
        self._file.truncate(length)
        self._writer = csv.DictWriter(self._file, COLUMNS)
        if length == 0:
            self._writer.writeheader()
        self._events = _event_writer(folder / "tensorboard", step)

    def write(self, row: dict[str, float]) -> None:
        """One row; keys are of `COLUMNS`, absent ones stay empty."""
        self._writer.writerow(row)
        self._file.flush()
        if self._events:
            for name in row.keys() - {"step", "epoch"}:
                self._events.add_scalar(name, row[name], row["step"])

    def show(self, name: str, picture: np.ndarray, step: int) -> None:
        """An (H, W, 3) RGB uint8 picture among the events."""
        if self._events:
            self._events.add_image(name, picture, step, dataformats="HWC")

    def length(self) -> int:
        """Bytes of the log, all of them on disk."""
        self._file.flush()
        os.fsync(self._file.fileno())
        return os.fstat(self._file.fileno()).st_size

    def close(self) -> None:
        """Write out what is left."""
        self._file.close()
        if self._events:
            self._events.close()


def _event_writer(folder: Path, step: int) -> Any:
    """A SummaryWriter that hides older events after `step`; None without tensorboardX."""
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1 if step else None)
