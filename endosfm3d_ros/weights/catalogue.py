"""Weights that others publish: where they are, under which terms, and where they go here.

None of them is part of the package. Hashes stand where their publishers state them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.locations import data_folder

Kind = Literal["weights", "bases", "lrm", "tools"]


@dataclass(frozen=True)
class Licence:
    """Terms under which weights may be used."""

    name: str  # what --accept-licence wants
    terms: str
    url: str = ""


APACHE = Licence(
    "Apache-2.0",
    "Use, change and redistribution are allowed, commercially too, if licence and notices stay.",
    "https://www.apache.org/licenses/LICENSE-2.0",
)
CC_BY_NC = Licence(
    "CC-BY-NC-4.0",
    "Use, change and redistribution with credit to the authors; no commercial use.",
    "https://creativecommons.org/licenses/by-nc/4.0/legalcode",
)
UNSTATED = Licence(
    "none-stated",
    "The authors state no licence, so all rights are theirs: ask them before any use that goes "
    "beyond what your law allows for research.",
)


@dataclass(frozen=True)
class Entry:
    """One set of weights."""

    name: str
    title: str
    kind: Kind  # folder below the user's `endosfm3d` data folder
    licence: Licence
    page: str  # for people
    files: dict[str, str]  # file name to address; empty where only people can get them
    expected: tuple[str, ...]  # files that `add` looks for, any one of them


def _hugging_face(repository: str, *names: str) -> dict[str, str]:
    return {name: f"https://huggingface.co/{repository}/resolve/main/{name}" for name in names}


def _openlrm(size: str) -> Entry:
    repository = f"zxhezexin/openlrm-mix-{size}-1.1"
    return Entry(
        name=f"openlrm-{size}",
        title=f"OpenLRM mix {size} 1.1: whole instruments from one view (EndoLRMGS)",
        kind="lrm",
        licence=CC_BY_NC,
        page=f"https://huggingface.co/{repository}",
        files=_hugging_face(repository, "config.json", "model.safetensors"),
        expected=("model.safetensors",),
    )


_DEPTH_ANYTHING = "depth-anything/Depth-Anything-V2-Small-hf"
CATALOGUE = (
    Entry(
        name="endosfm3d",
        title="EndoSfM3D as released: depth, perhaps pose and intrinsics",
        kind="weights",
        licence=UNSTATED,
        page="https://drive.google.com/drive/folders/1ZQs3xetmPDhBd64OOs7K9E_HBfccCLwz",
        files={},
        expected=("depth_model.pth", "depth.pth", "full_model.pth", "adapter_config.json"),
    ),
    Entry(
        name="depth-anything-v2-small",
        title="Depth Anything V2 Small: what `train video` begins from",
        kind="bases",
        licence=APACHE,
        page=f"https://huggingface.co/{_DEPTH_ANYTHING}",
        files=_hugging_face(_DEPTH_ANYTHING, "model.safetensors"),
        expected=("model.safetensors", "pytorch_model.bin"),
    ),
    _openlrm("small"),
    _openlrm("base"),
    Entry(
        name="monai-tools",
        title="MONAI endoscopic_tool_segmentation: instrument masks",
        kind="tools",
        licence=APACHE,
        page="https://monai.io/model-zoo.html",
        files={},
        expected=("model.onnx", "model.ts"),
    ),
)


def find_entry(name: str) -> Entry:
    """The entry of that name.

    Raises:
        ConfigurationError: there is none.
    """
    for entry in CATALOGUE:
        if entry.name == name:
            return entry
    raise ConfigurationError(
        f"weights '{name}': known are {', '.join(entry.name for entry in CATALOGUE)}"
    )


def require_licence(entry: Entry, accepted: str) -> None:
    """Nothing, where the licence of the entry was accepted by its name.

    Raises:
        ConfigurationError: it was not; the sentence says what it is and how to accept it.
    """
    licence = entry.licence
    if accepted != licence.name:
        given = f"'{accepted}' is not its licence" if accepted else "its licence is not accepted"
        raise ConfigurationError(
            f"{entry.name}: {given}; it is {licence.name}: {licence.terms} {licence.url} "
            f"To go on, add --accept-licence {licence.name}"
        )


def user_folder(entry: Entry) -> Path:
    """Where the entry lies when it is installed."""
    data = data_folder()
    return data / "tools" if entry.kind == "tools" else data / entry.kind / entry.name
