"""Everything needed to build the engine of one network, without building it yet."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from endosfm3d_ros.engines.engine import TensorSpec

if TYPE_CHECKING:
    from torch import nn

# Largest relative error (root of summed squares, engine minus torch, over torch) per precision.
# Measured on depth, pose and segmentation: f32 5e-7, bf16 1e-2, f16 8e-3, int8 1e-2 (depth only);
# room is left for other processors and weights.
TOLERANCES = {"f32": 1e-4, "bf16": 2e-2, "f16": 1e-2, "int8": 5e-2}
# Largest change of scale: | median(engine's depth / torch's depth) - 1 |.
SCALE_TOLERANCES = {"f32": 1e-3, "bf16": 1e-2, "f16": 1e-2, "int8": 2e-2}

Tensors = dict[str, np.ndarray]


@dataclass(frozen=True)
class NetworkRecipe:
    """A network by name, what it takes and gives, and how to load it.

    `load` returns the torch module in evaluation mode; it is called only when no usable engine
    is on disk, so that a start from the cache imports no torch. `fingerprint` stands for the
    module in the cache key and must change whenever its numbers do. A network that exists only
    as an ONNX file has `load` None and `onnx` set.

    `simplified` makes of the loaded module one that answers the same from fewer operations; it is
    what is exported, while torch runs, and every engine is compared with, the loaded one.

    Precision policy: `full_precision` names submodules (with all below them) that stay float32
    when the others are halved, `float_nodes` are patterns of ONNX node names that int8 leaves
    alone. A network without `prepare` has no int8 engine and runs in bf16 instead. A network of
    the background runs beside the frames: on one processor thread, and in bf16 where that is known
    and f32 was asked for, which takes a third of the time.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    output_names: tuple[str, ...]
    fingerprint: str
    load: Callable[[], nn.Module] | None
    onnx: Callable[[], bytes] | None = None
    simplified: Callable[[nn.Module], nn.Module] | None = None
    tolerances: dict[str, float] = field(default_factory=lambda: dict(TOLERANCES))
    description: dict[str, str] = field(default_factory=dict)  # shown with the engine
    background: bool = False
    full_precision: tuple[str, ...] = ()
    float_nodes: tuple[str, ...] = ()
    prepare: Callable[[list[np.ndarray]], list[Tensors]] | None = None  # RGB uint8 to inputs
    depth: Callable[[Tensors], np.ndarray] | None = None  # outputs to depth, to compare the scale
    probe: Callable[[], Tensors] | None = None  # inputs of the check, if not any image will do


def fingerprint_of(files: Iterable[Path], modules: Iterable[str] = ()) -> str:
    """SHA-256 over weight files and over the source of the code that gives them meaning.

    `modules` are names of modules or packages (with the modules directly in them); they are
    found, not imported.
    """
    digest = hashlib.sha256()
    for path in (*files, *(path for name in modules for path in _sources(name))):
        digest.update(sha256_of_file(path))
    return digest.hexdigest()


def _sources(name: str) -> list[Path]:
    spec = find_spec(name)
    if spec.submodule_search_locations is None:
        return [Path(spec.origin)]
    return sorted(
        path for folder in spec.submodule_search_locations for path in Path(folder).glob("*.py")
    )


def sha256_of_file(path: Path) -> bytes:
    """Digest of one file, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.digest()


def probe_inputs(inputs: tuple[TensorSpec, ...], seed: int = 0) -> dict[str, np.ndarray]:
    """Fixed inputs of the parity check: blurred random blocks with noise, in [0, 1]."""
    generator = np.random.Generator(np.random.PCG64(seed))
    return {spec.name: _texture(generator, spec.shape) for spec in inputs}


def _texture(generator: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Values with the large, smooth areas of an image and a little noise."""
    coarse = generator.random(tuple(-(-n // 32) if n > 32 else n for n in shape))
    for axis, size in enumerate(shape):
        if size > coarse.shape[axis]:
            coarse = np.repeat(coarse, 32, axis=axis).take(range(size), axis=axis)
    noisy = 0.9 * coarse + 0.1 * generator.random(shape)
    return noisy.astype(np.float32)
