"""References that lie beside a recording belong to frames by number; what fits none is an error."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from pathlib import Path

from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs.report import InputReport

NUMBER_AT_END = re.compile(r"(\d+)\D*$", re.ASCII)


def numbered(paths: Iterable[Path], pattern: re.Pattern[str] = NUMBER_AT_END) -> dict[int, Path]:
    """Files by the number that a pattern finds in their stems; others are left out.

    Raises:
        InputError: two files with one number.
    """
    found: dict[int, Path] = {}
    for path in paths:
        match = pattern.search(path.stem)
        if match is None:
            continue
        number = int(match.group(1))
        if number in found:
            names = " and ".join(sorted((shown(found[number].name), shown(path.name))))
            raise InputError(f"{path.parent} has two files of number {number}: {names}")
        found[number] = path
    return found


def require_some(
    source: Path, numbers: Collection[int], frames: Collection[int], report: InputReport
) -> None:
    """Refuse a reference that belongs to no frame; say for how many frames there is one.

    Args:
        source: file or folder of the reference.
        numbers: the frames that it is about.
        frames: the numbers of the frames of the recording.
        report: hears of frames without one.

    Raises:
        InputError: the reference is there, but of no use.
    """
    common = set(numbers) & set(frames)
    if not common:
        raise InputError(
            f"{source} is there, but belongs to no frame: it has {_span(numbers, 'numbers')}, the "
            f"recording has {_span(frames, 'frames')}"
        )
    if len(common) < len(set(frames)):
        text = f"for {len(common)} of {len(set(frames))} frames"
        report.assumed(shown(source.name), "gaps", text)


def _span(numbers: Collection[int], what: str) -> str:
    if not numbers:
        return f"no {what} that can be read"
    return f"{len(numbers)} {what}, {min(numbers)} to {max(numbers)}"
