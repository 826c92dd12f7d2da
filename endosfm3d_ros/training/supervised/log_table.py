"""The log of a run as a CSV file that can be gone on with."""

from __future__ import annotations

import csv
from pathlib import Path


class LogTable:
    """One row per entry: the step and named numbers.

    Args:
        path: the file; rows after step `keep` are of a run that was cut off there, and go.
        keep: last step that stands.
    """

    def __init__(self, path: Path, keep: int) -> None:
        self._path = path
        rows = []
        if path.is_file():
            with path.open(newline="") as file:
                rows = [row for row in csv.DictReader(file) if int(row["step"]) <= keep]
        self._columns = list(rows[0]) if rows else []
        if self._columns:
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(file, self._columns)
                writer.writeheader()
                writer.writerows(rows)

    def add(self, step: int, numbers: dict[str, float]) -> None:
        """Append a row; the first one names the columns."""
        row = {"step": step} | {name: f"{value:.6g}" for name, value in numbers.items()}
        new = not self._columns
        self._columns = self._columns or list(row)
        with self._path.open("w" if new else "a", newline="") as file:
            writer = csv.DictWriter(file, self._columns)
            if new:
                writer.writeheader()
            writer.writerow(row)
