"""Which reader takes what; errors and help texts name the same list, made from the readers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.datasets.readers import Reader, all_readers
from endosfm3d_ros.errors import ConfigurationError, InputError

if TYPE_CHECKING:
    from endosfm3d_ros.datasets.sequence import Sequence

NAMED = 6  # entries of a folder that an error lists


@dataclass(frozen=True)
class SourceOptions:
    """What a recording cannot say itself; None where it shall be found out."""

    left: str | None = None  # image topic, or name of the video
    right: str | None = None  # "" reads one eye
    depth: str | None = None  # topic of reference depth
    mask: str | None = None  # topic of instrument labels
    poses: str | None = None  # topic of reference poses
    image_layout: str | None = None  # of both eyes in one picture: see `packing.LAYOUTS`
    split: str | None = None  # part of a StereoMIS sequence

    def given(self) -> dict[str, str]:
        """Those that are not None."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def accepted() -> str:
    """All readers in words."""
    *others, last = [reader.words for reader in all_readers()]
    return f"{', '.join(others)} or {last}"


def open_sequence(
    source: str | Path, start: int = 0, options: SourceOptions | None = None
) -> Sequence:
    """The reader for a path, chosen by what lies there.

    Args:
        source: path of a folder or file.
        start: stamp of the first frame in nanoseconds; a bag keeps its own stamps.
        options: what the recording cannot say itself.

    Raises:
        InputError: nothing there, nothing that a reader takes, or nothing that may be read.
        ConfigurationError: an option that this kind of recording does not have.
    """
    path = Path(source)
    try:
        reader = find_reader(path)
        return reader.open(path, start, _given(reader, path, options))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"{error.filename or path} cannot be read: {reason}") from error


def _given(reader: Reader, path: Path, options: SourceOptions | None) -> dict[str, str]:
    """The options that were given, all of which the reader has to know."""
    given = (options or SourceOptions()).given()
    foreign = [name for name in given if name not in reader.options]
    if foreign:
        has = ", ".join(reader.options) or "none"
        raise ConfigurationError(
            f"--input {foreign[0]}={given[foreign[0]]}: {shown(path)} is {reader.words}; roles of "
            f"those: {has}"
        )
    return given


def find_reader(path: Path) -> Reader:
    """The first reader that takes a path.

    Raises:
        InputError: there is none; says what is accepted and what was found.
    """
    if not path.exists():
        raise InputError(f"{path} does not exist: accepted are {accepted()}")
    for reader in all_readers():
        if reader.takes(path):
            return reader
    raise InputError(f"{path} holds {_found(path)}: accepted are {accepted()}")


def _found(path: Path) -> str:
    """A few words on what lies there, for the message."""
    if not path.is_dir():
        return f"a {path.suffix or 'nameless'} file"
    names = sorted(shown(entry.name) for entry in path.iterdir())
    return ", ".join(names[:NAMED]) + (" .." if len(names) > NAMED else "") if names else "nothing"
