"""Which files make up a bag, found by what they hold rather than by what metadata.yaml says."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from endosfm3d_ros.datasets.bags.mcap_file import MAGIC as MCAP
from endosfm3d_ros.datasets.bags.mcap_file import McapFile
from endosfm3d_ros.datasets.bags.sqlite_file import MAGIC as SQLITE
from endosfm3d_ros.datasets.bags.sqlite_file import SqliteFile
from endosfm3d_ros.datasets.bags.unpacking import unpack_file
from endosfm3d_ros.datasets.formats.names import by_number
from endosfm3d_ros.errors import InputError

METADATA = "metadata.yaml"
STORAGE = re.compile(r"\.(mcap|db3)(\.zstd|\.zst)?$", re.IGNORECASE)
ZSTD, ROS1 = b"\x28\xb5\x2f\xfd", b"#ROSBAG"
NO_METADATA = (OSError, KeyError, TypeError, ValueError, AttributeError, RecursionError)
CONVERT_ROS1 = (
    "is a ROS 1 bag: convert it with `rosbags-convert --src {name} --dst {stem}` "
    "(installed with this package) and give the folder {stem}"
)


@dataclass(frozen=True)
class Listed:
    """What metadata.yaml says; empty where it is missing or cannot be read."""

    counts: dict[str, int] = field(default_factory=dict)  # messages by topic
    types: dict[str, str] = field(default_factory=dict)
    qos: dict[str, Any] = field(default_factory=dict)  # offered profiles by topic
    files: tuple[str, ...] = ()
    fault: str = ""  # why it cannot be read


def is_bag(path: Path) -> bool:
    """Whether a path looks like a bag of ROS 2 or ROS 1."""
    if path.is_file():
        return bool(STORAGE.search(path.name)) or path.suffix.lower() == ".bag"
    return (path / METADATA).is_file() or bool(storage_names(path) or _ros1_names(path))


def storage_names(folder: Path) -> list[str]:
    """The storage files of a folder, those of a split bag in the order of their numbers."""
    if not folder.is_dir():
        return []
    names = [entry.name for entry in folder.iterdir() if STORAGE.search(entry.name)]
    plain = {STORAGE.sub("", name) for name in names if not _packed(name)}
    left = [name for name in names if not (_packed(name) and STORAGE.sub("", name) in plain)]
    return sorted(left, key=by_number)


def read_metadata(folder: Path) -> Listed:
    """The lists of metadata.yaml, believed only as far as they make sense."""
    path = folder / METADATA
    if not path.is_file():
        return Listed()
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text("utf-8", "replace"))
        said = content["rosbag2_bagfile_information"]
        topics = said.get("topics_with_message_count") or []
        entries = [(topic["topic_metadata"], int(topic["message_count"])) for topic in topics]
        return Listed(
            counts={str(entry["name"]): count for entry, count in entries},
            types={str(entry["name"]): str(entry["type"]) for entry, _ in entries},
            qos={str(entry["name"]): entry.get("offered_qos_profiles") for entry, _ in entries},
            files=tuple(Path(str(name)).name for name in said.get("relative_file_paths") or ()),
        )
    except (YAMLError, *NO_METADATA) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        return Listed(fault=f"{METADATA} cannot be read ({reason[:120]}): the files were looked at")


def open_storages(path: Path, scratch: Path, listed: Listed) -> tuple[list[Any], list[str]]:
    """The storage files of a bag in order, and half sentences about those that cannot be read.

    Raises:
        InputError: a ROS 1 bag, no storage file, or none that can be read.
    """
    _refuse_ros1(path)
    names, faults = ([path.name], []) if path.is_file() else _one_recording(path, listed)
    folder = path.parent if path.is_file() else path
    files = [folder / name for name in names]
    if not files:
        reason = (
            "; ".join(faults)
            or "it holds no .mcap or .db3 file (`endosfm3d convert` makes a bag of any recording)"
        )
        raise InputError(f"{path} is no bag, or cut off or damaged: {reason}")
    storages: list[Any] = []
    for file in files:
        try:
            storages.append(_open_storage(file, scratch))
        except InputError as error:
            faults.append(str(error))
        except OSError as error:
            faults.append(f"{file.name} cannot be read: {error.strerror}")
    if not storages:
        raise InputError(f"{path} is no bag, or cut off or damaged: {'; '.join(faults)}")
    return storages, faults


def _one_recording(folder: Path, listed: Listed) -> tuple[list[str], list[str]]:
    """The files of the one recording in a folder, and half sentences about others.

    Raises:
        InputError: several recordings, and no list says which one is meant.
    """
    names = storage_names(folder)
    lost = sorted(set(listed.files) - set(names))
    faults = [f"{name} is listed in {METADATA} but missing" for name in lost]
    series = {_series(name) for name in listed.files} & {_series(name) for name in names}
    if series:
        others = [name for name in names if _series(name) not in series]
        faults += [f"{name} is not of the recording that {METADATA} lists" for name in others]
        return [name for name in names if name not in others], faults
    if len({_series(name) for name in names}) > 1:
        raise InputError(
            f"{folder} holds several recordings, {', '.join(names[:6])}: name one of the files, or "
            "give each a folder"
        )
    return names, faults


def _series(name: str) -> str:
    """What the files of one split recording have in common."""
    return re.sub(r"_\d+$", "", STORAGE.sub("", name))


def _open_storage(file: Path, scratch: Path) -> McapFile | SqliteFile:
    """One storage file, unpacked once where it is compressed as a whole."""
    head = _head(file)
    fault = ""
    if head.startswith(ZSTD):
        file, fault = _unpack(file, Path(tempfile.mkdtemp(dir=scratch)))
        head = _head(file)
    if head.startswith(MCAP):
        storage: McapFile | SqliteFile = McapFile(file)
    elif head.startswith(SQLITE):
        storage = SqliteFile(file, scratch)
    else:
        raise InputError(f"{file.name} starts with {head[:8]!r}: neither MCAP nor sqlite3")
    storage.faults.extend([fault] if fault else [])
    return storage


def _unpack(file: Path, folder: Path) -> tuple[Path, str]:
    """The content of a packed file, as far as it goes, and what is wrong with it."""
    target = folder / STORAGE.sub(r".\1", file.name)
    return target, unpack_file(file, target)


def _refuse_ros1(path: Path) -> None:
    names = _ros1_names(path)
    if path.is_dir() and names and not storage_names(path):
        path = path / names[0]
    if path.is_file() and (_head(path).startswith(ROS1) or path.suffix.lower() == ".bag"):
        stem = path.with_suffix("")
        raise InputError(f"{path} {CONVERT_ROS1.format(name=path.name, stem=stem.name)}")


def _ros1_names(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    return sorted(entry.name for entry in folder.iterdir() if entry.suffix.lower() == ".bag")


def _head(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(16)


def _packed(name: str) -> bool:
    return bool(STORAGE.search(name).group(2))
