"""Finds weight sets of EndoSfM3D on this machine: the user's, and the package's starter set.

A set is a folder as its authors publish it (`depth_model.pth`, and `pose_encoder.pth` with
`pose.pth` where motion and intrinsics are wanted; see `networks.checkpoints` for all layouts).
A `weights.json` beside them may say what cannot be seen from the tensors:

    {"input_size": [252, 322]}      height and width that the depth network was trained with
    {"network": "student", "input_size": [128, 160]}      `networks.students` in place of those
                                    published: `depth.safetensors`, perhaps `pose.safetensors`
    {"note": "..."}                 shown with the results
    {"camera": false}               what its pose network says about the camera is not used
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.locations import data_folder

SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")
POSE_FILES = ("pose_encoder.pth", "pose.pth")
STUDENT, STUDENT_DEPTH, STUDENT_POSE = "student", "depth.safetensors", "pose.safetensors"
CARD = "weights.json"
VARIABLE = "ENDOSFM3D_WEIGHTS"
OFFICIAL_SIZE = (256, 320)  # (height, width) of the published training


@dataclass(frozen=True)
class WeightSet:
    """A folder with weights of the depth network and perhaps of the pose network."""

    folder: Path

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.name

    @property
    def has_pose(self) -> bool:
        """Whether all files of the pose network are there."""
        return all(path.is_file() for path in self.pose_files)

    @property
    def is_student(self) -> bool:
        """Whether the tensors are of the small networks."""
        return self._card.get("network") == STUDENT

    @property
    def depth_files(self) -> list[Path]:
        """Every file that may decide what the depth network computes."""
        if self.is_student:
            return [self.folder / STUDENT_DEPTH]
        pose = {path.name for path in self.pose_files}
        return [path for path in _weight_files(self.folder) if path.name not in pose]

    @property
    def pose_files(self) -> list[Path]:
        """The files of the pose network."""
        if self.is_student:
            return [self.folder / STUDENT_POSE]
        return [_as_stored(self.folder / name) for name in POSE_FILES]

    @property
    def note(self) -> str:
        """What whoever sees results of this set should know; mostly empty."""
        return str(self._card.get("note", ""))

    @property
    def knows_cameras(self) -> bool:
        """Whether the intrinsics of its pose network are worth a look."""
        return self._card.get("camera", True) is not False

    @cached_property
    def input_size(self) -> tuple[int, int]:
        """(height, width) that the depth network was trained with.

        Raises:
            ConfigurationError: the card of the set cannot be read.
        """
        try:
            height, width = self._card.get("input_size", OFFICIAL_SIZE)
            return int(height), int(width)
        except (ValueError, TypeError) as error:
            raise self._no_card(error) from error

    @cached_property
    def _card(self) -> dict[str, object]:
        """What `weights.json` says; empty without it."""
        path = self.folder / CARD
        if not path.is_file():
            return {}
        try:
            card = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise self._no_card(error) from error
        if not isinstance(card, dict):
            raise self._no_card("no object")
        return card

    def _no_card(self, reason: object) -> ConfigurationError:
        path = self.folder / CARD
        return ConfigurationError(
            f'{path} must hold JSON such as {{"input_size": [256, 320]}} ({reason})'
        )


def search_folders() -> list[Path]:
    """Where weight sets are looked for, in this order.

    `$ENDOSFM3D_WEIGHTS` (a set, or a folder of sets), the user's data folder (XDG base
    directories), and the package itself.
    """
    chosen = os.environ.get(VARIABLE)
    return [
        *([Path(chosen)] if chosen else []),
        data_folder() / "weights",
        Path(str(files("endosfm3d_ros"))) / "weights",
    ]


def installed_weights() -> list[WeightSet]:
    """All sets of `search_folders`, first found first."""
    sets = []
    for folder in search_folders():
        candidates = [folder, *sorted(folder.iterdir())] if folder.is_dir() else []
        sets += [WeightSet(path) for path in candidates if path.is_dir() and _weight_files(path)]
    return sets


def find_weights(name: str = "") -> WeightSet:
    """The set of that name, or in that folder, or with no name the first that is installed.

    Raises:
        ConfigurationError: there is none; the sentence says how to install one.
    """
    if name and Path(name).is_dir():
        return WeightSet(Path(name).resolve())
    chosen = os.environ.get(VARIABLE)
    if chosen and not Path(chosen).is_dir():
        raise ConfigurationError(f"{VARIABLE}={chosen} is not a folder")
    sets = installed_weights()
    for found in sets:
        if name in ("", found.name):
            return found
    if name:
        others = ", ".join(found.name for found in sets) or "none"
        raise ConfigurationError(f"weight set '{name}': no such folder; installed are: {others}")
    raise ConfigurationError(
        "no EndoSfM3D weights are installed: copy the published checkpoint folder "
        f"(depth_model.pth, pose_encoder.pth, pose.pth) to {search_folders()[-2] / 'official'} "
        f"or name it in {VARIABLE}"
    )


def _as_stored(path: Path) -> Path:
    """A published file, or the safetensors file that `endosfm3d weights add` makes of it."""
    converted = path.with_suffix(".safetensors")
    return converted if converted.is_file() and not path.is_file() else path


def _weight_files(folder: Path) -> list[Path]:
    """Tensor files and adapter settings directly in a folder."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and (path.suffix in SUFFIXES or path.name == "adapter_config.json")
    )
