"""A folder of golden vectors: inputs, outputs and tensor shapes of the published code.

    manifest.json            {"seed": n}
    fill.py                  fill(shapes, seed, tag) -> weights by key, the rule for any seed
    shapes/endosfm3d.json    {component: {key: shape}}
    shapes/openlrm_*.json    {"config", "image_size", "model": {key: shape}}
    *.npz                    arrays by name

`fill.py` belongs to the folder and is run from there, as its only code.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from endosfm3d_ros.errors import InputError


class GoldenArrays(Mapping[str, np.ndarray]):
    """Arrays of one .npz file; an absent name is an InputError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = np.load(path)

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._file.files:
            raise InputError(f"{self._path} has no array {name}, which its layout requires")
        return self._file[name]

    def __contains__(self, name: object) -> bool:
        return name in self._file.files

    def __iter__(self) -> Iterator[str]:
        return iter(self._file.files)

    def __len__(self) -> int:
        return len(self._file.files)

    def image(self, name: str) -> Tensor:
        """(1, 3, H, W) network input of a stored (3, H, W) uint8 image: RGB in [0, 1]."""
        return network_image(self[name])


def network_image(image: np.ndarray) -> Tensor:
    """(3, H, W) uint8 RGB to (1, 3, H, W) float32 in [0, 1], without mean or deviation."""
    return torch.from_numpy(image).float()[None] / 255


class GoldenFolder:
    """Reads one folder; arrays and weights are loaded when asked for.

    Raises:
        InputError: the folder, its manifest, its rule or a needed file is missing or unreadable.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise InputError(f"golden folder {path} does not exist")
        self.path = path
        if not (path / "manifest.json").is_file():
            raise InputError(
                f"{path} holds no manifest.json: a folder of golden vectors is accepted"
            )
        manifest = self._json("manifest.json")
        if not isinstance(manifest, dict) or not isinstance(manifest.get("seed"), int):
            raise InputError(f'{path / "manifest.json"} must hold {{"seed": integer}}')
        self.seed: int = manifest["seed"]

    def has(self, stem: str) -> bool:
        """Whether the folder holds `stem`.npz."""
        return (self.path / f"{stem}.npz").is_file()

    def arrays(self, stem: str) -> GoldenArrays:
        """The arrays of `stem`.npz."""
        return GoldenArrays(self.path / f"{stem}.npz")

    def weights(self, component: str) -> dict[str, Tensor]:
        """Tensors of one EndoSfM3D component under their published names, for this seed."""
        shapes = self._shapes
        if component not in shapes:
            raise InputError(f"shapes/endosfm3d.json has {sorted(shapes)}, not {component}")
        return self._tensors(shapes[component], component)

    def reconstruction(self, name: str) -> tuple[dict[str, Any], int, dict[str, Tensor]]:
        """Configuration, image side and published tensors of `openlrm_base` or `openlrm_tiny`."""
        content = self._json(f"shapes/{name}.json")
        return content["config"], content["image_size"], self._tensors(content["model"], name)

    def _tensors(self, shapes: dict[str, Any], tag: str) -> dict[str, Tensor]:
        filled = self._fill(shapes, self.seed, tag)
        return {key: torch.from_numpy(np.asarray(value)) for key, value in filled.items()}

    @cached_property
    def _shapes(self) -> dict[str, Any]:
        return self._json("shapes/endosfm3d.json")

    @cached_property
    def _fill(self) -> Callable[[dict[str, Any], int, str], dict[str, np.ndarray]]:
        path = self.path / "fill.py"
        if not path.is_file():
            raise InputError(f"{path} does not exist; it holds the rule for the weights")
        spec = importlib.util.spec_from_file_location("golden_fill", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.fill

    def _json(self, name: str) -> Any:
        try:
            return json.loads((self.path / name).read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"{self.path / name} cannot be read as JSON ({error})") from error
