"""Brings weights of the catalogue into the user's folder, as safetensors. Imports torch.

add(entry, Path("downloads/best_SCARED_depth"))
fetch(entry)
"""

from __future__ import annotations

import hashlib
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import safetensors.torch

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.atomic import atomic_folder
from endosfm3d_ros.networks.checkpoint_files import read_tensors
from endosfm3d_ros.networks.checkpoints import POSE_FILES, load_depth_network, load_pose_network
from endosfm3d_ros.weights.catalogue import Entry, user_folder

PICKLES = (".pth", ".pt", ".bin")
KEPT = (".safetensors", ".json", ".onnx", ".ts")
SECONDS = 30  # without a sign of the server
PIECE = 1 << 20  # bytes

Report = Callable[[str], None]


def add(entry: Entry, source: Path, report: Report, force: bool = False) -> Path:
    """Install files that the user has: checked, and converted so that no pickle remains.

    Returns:
        the folder that they are in now.

    Raises:
        ConfigurationError: the folder holds no such weights, or they are installed already.
    """
    if not any((source / name).is_file() for name in entry.expected):
        raise ConfigurationError(
            f"{source} holds none of {', '.join(entry.expected)}, which {entry.name} consists of"
        )
    if entry.kind in ("weights", "bases"):
        _check(source, report)
    target = user_folder(entry)
    with atomic_folder(target, marker="*", force=force) as folder:
        folder.mkdir(parents=True)
        for path in sorted(source.iterdir()):
            _take_in(path, folder, report)
        facts = {"name": entry.name, "licence": entry.licence.name, "source": entry.page}
        (folder / "origin.json").write_text(json.dumps(facts, indent=1) + "\n")
    return target


def fetch(entry: Entry, report: Report, force: bool = False) -> Path:
    """Download and install; raises as `add` does.

    Raises:
        ConfigurationError: only people can get these files, or there is no connection.
    """
    if not entry.files:
        raise ConfigurationError(
            f"{entry.name} cannot be fetched by a program: get it from {entry.page} and run "
            f"`endosfm3d weights add {entry.name} FOLDER`"
        )
    with TemporaryDirectory(prefix="endosfm3d-") as scratch:
        for name, address in entry.files.items():
            digest = _download(entry, address, Path(scratch) / name)
            report(f"{name}: sha256 {digest}")
        return add(entry, Path(scratch), report, force)


def _check(folder: Path, report: Report) -> None:
    """Load what is there, so that a wrong file is found now and not at the first start."""
    load_depth_network(folder)
    report(f"{folder}: depth network complete")
    if all((folder / name).is_file() for name in POSE_FILES):
        load_pose_network(folder)
        report(f"{folder}: pose and intrinsics network complete")


def _take_in(path: Path, folder: Path, report: Report) -> None:
    """One file: pickles become safetensors, what is not known stays behind."""
    if path.suffix in PICKLES:
        tensors = {name: value.contiguous() for name, value in read_tensors(path).items()}
        target = folder / path.with_suffix(".safetensors").name
        safetensors.torch.save_file(_unshared(tensors), target)
        report(f"{path.name} -> {target.name}, {target.stat().st_size / 2**20:.0f} MiB")
    elif path.suffix in KEPT:
        shutil.copy2(path, folder / path.name)


def _unshared(tensors: dict) -> dict:
    """Tensors that own their memory, which the format asks for."""
    seen: set[int] = set()
    own = {}
    for name, value in tensors.items():
        own[name] = value.clone() if value.data_ptr() in seen else value
        seen.add(value.data_ptr())
    return own


def _download(entry: Entry, address: str, path: Path) -> str:
    """SHA-256 of the file."""
    digest = hashlib.sha256()
    try:
        with urllib.request.urlopen(address, timeout=SECONDS) as answer, path.open("wb") as file:
            while piece := answer.read(PIECE):
                digest.update(piece)
                file.write(piece)
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise ConfigurationError(
            f"{address} cannot be reached ({reason}): get it from {entry.page} on another machine "
            f"and run `endosfm3d weights add {entry.name} FOLDER`"
        ) from error
    return digest.hexdigest()
