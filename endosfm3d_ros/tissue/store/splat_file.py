"""The map as the PLY file that viewers of Gaussian splats open (Kerbl et al. 2023).

Colour as the constant spherical harmonic, natural logarithm of the scales, logit of the opacity,
rotation w x y z. Positions are in the units of the map; a comment names them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from plyfile import PlyData, PlyElement, PlyParseError

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.files.atomic import replacing
from endosfm3d_ros.tissue.store.gaussians import GaussianStore

HARMONIC = 0.28209479177387814  # of degree zero: 1 / (2 sqrt(pi))
LARGEST_OPACITY = 1 - 1e-6  # the logit of one is infinite
NAMES = (
    *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)


def write_splats(path: Path, store: GaussianStore, unit: str) -> None:
    """Binary PLY of everything alive.

    Args:
        path: of the file.
        store: the Gaussians.
        unit: of the positions, for people, such as "metre" or "relative".

    Raises:
        ConfigurationError: the place cannot be written.
    """
    write_vertices(path, splat_vertices(store), unit)


def splat_vertices(store: GaussianStore) -> np.ndarray:
    """(N,) copies of everything alive, with the fields NAMES."""
    alive = store.alive
    rows = {name: store.view(name)[alive] for name in ("means", "quats", "scales", "colors")}
    opacity = np.minimum(store.view("opacities")[alive], LARGEST_OPACITY)
    columns = np.concatenate(
        [
            rows["means"],
            np.zeros_like(rows["means"]),
            (rows["colors"] - 0.5) / HARMONIC,
            np.log(opacity / (1 - opacity))[:, None],
            np.log(rows["scales"]),
            rows["quats"],
        ],
        axis=1,
    ).astype("<f4")
    return np.ascontiguousarray(columns).view([(name, "<f4") for name in NAMES])[:, 0]


def write_vertices(path: Path, vertices: np.ndarray, unit: str) -> None:
    """Write what `splat_vertices` returned. Raises ConfigurationError as `write_splats`."""
    element = PlyElement.describe(vertices, "vertex")
    with replacing(path) as scratch:
        PlyData([element], byte_order="<", comments=[f"unit {unit}"]).write(str(scratch))


def read_splats(path: Path) -> dict[str, np.ndarray]:
    """Means, quats, scales, opacities and colours (N, ...) float32 of a splat file.

    Raises:
        InputError: not a PLY file, or one without the properties of Gaussian splats.
    """
    try:
        vertices = PlyData.read(str(path))["vertex"]
        columns = {name: np.asarray(vertices[name], np.float32) for name in NAMES if name[0] != "n"}
    except (OSError, ValueError, KeyError, PlyParseError) as error:
        raise InputError(f"{path} is not a PLY file of Gaussian splats: {error}") from error

    def stack(prefix: str, count: int) -> np.ndarray:
        return np.stack([columns[f"{prefix}{k}"] for k in range(count)], axis=1)

    return {
        "means": np.stack([columns[axis] for axis in "xyz"], axis=1),
        "quats": stack("rot_", 4),
        "scales": np.exp(stack("scale_", 3)),
        "opacities": 1 / (1 + np.exp(-columns["opacity"])),
        "colors": stack("f_dc_", 3) * np.float32(HARMONIC) + np.float32(0.5),
    }
