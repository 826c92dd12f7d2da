"""Text tables with a frame number and some values a line, `#` for comments."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from endosfm3d_ros.errors import InputError


def read_rows(path: Path, columns: str) -> dict[int, np.ndarray]:
    """Values by frame number; blanks, commas and tabs separate them.

    Args:
        path: the table.
        columns: names of all columns, blanks between, the first one the frame.

    Raises:
        InputError: no text, a line that is not a whole number and finite values as many as there
            are columns, or a number that comes twice; named with its line number.
    """
    rows: dict[int, np.ndarray] = {}
    count = len(columns.split())
    for at, line, words in lines_of(path):
        try:
            number, values = float(words[0]), np.array(words[1:], np.float64)
            whole = number.is_integer() and number >= 0
            if not whole or len(words) != count or not np.isfinite(values).all():
                raise ValueError
        except (ValueError, OverflowError) as error:
            raise InputError(f"{path} line {at} {line!r}: {columns} is accepted") from error
        if int(number) in rows:
            raise InputError(f"{path} line {at} {line!r}: frame {int(number)} comes twice")
        rows[int(number)] = values
    return rows


def lines_of(path: Path) -> Iterator[tuple[int, str, list[str]]]:
    """(number, text, words) of the lines that say something.

    Raises:
        InputError: no text.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read as text: {error}") from error
    for at, line in enumerate(text.splitlines(), start=1):
        words = line.split("#")[0].replace(",", " ").split()
        if words:
            yield at, line[:80], words
