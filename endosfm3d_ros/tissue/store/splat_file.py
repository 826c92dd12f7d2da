"""The map as the PLY file that viewers of Gaussian splats open (Kerbl et al. 2023).

Colour as the constant spherical harmonic, natural logarithm of the scales, logit of the opacity,
rotation w x y z. Positions are in the units of the map; a comment names them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.files.atomic import replacing, write_bytes
from endosfm3d_ros.files.ply import read_ply, write_ply
from endosfm3d_ros.tissue.store.gaussians import GaussianStore

HARMONIC = 0.28209479177387814  # of degree zero: 1 / (2 sqrt(pi))
LARGEST_OPACITY = 1 - 1e-6  # the logit of one is infinite
NAMES = (
    *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
    *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
)


def write_splats(
    path: Path, store: GaussianStore, unit: str, *comments: str, scale: float = 1.0
) -> None:
    """Binary PLY of everything alive.

    Args:
        path: of the file.
        store: the Gaussians.
        unit: of the positions, for people, such as "metre" or "relative".
        comments: what else the file shall say.
        scale: factor on all lengths, declared in the file. Viewers made for rooms cut off what is
            nearer than 0.2 of a unit: 20 brings tissue at 5 cm to where they show it.

    Raises:
        ConfigurationError: the place cannot be written.
    """
    declared = comments if scale == 1.0 else (*comments, f"lengths times {scale:g}")
    write_vertices(path, scaled(splat_vertices(store), scale), unit, *declared)


def scaled(vertices: np.ndarray, factor: float) -> np.ndarray:
    """Splats as `splat_vertices` gives them, all lengths times a factor."""
    larger = vertices.copy()
    for axis in "xyz":
        larger[axis] *= np.float32(factor)
    for name in ("scale_0", "scale_1", "scale_2"):
        larger[name] += np.float32(np.log(factor))
    return larger


def write_compact(path: Path, vertices: np.ndarray) -> None:
    """The `.splat` file of web viewers: 32 bytes each, the most visible first, no header.

    Place and size as three float32 each, colour with opacity and rotation w x y z as four bytes.
    """
    columns = {name: vertices[name].astype(np.float64) for name in NAMES}
    size = np.exp(np.stack([columns[f"scale_{k}"] for k in range(3)], axis=1))
    opacity = 1 / (1 + np.exp(-columns["opacity"]))
    colour = 0.5 + HARMONIC * np.stack([columns[f"f_dc_{k}"] for k in range(3)], axis=1)
    turn = np.stack([columns[f"rot_{k}"] for k in range(4)], axis=1)
    turn /= np.linalg.norm(turn, axis=1, keepdims=True)
    rows = np.zeros(len(vertices), [("place", "<f4", 3), ("size", "<f4", 3), ("bytes", "u1", 8)])
    rows["place"] = np.stack([columns[axis] for axis in "xyz"], axis=1)
    rows["size"] = size
    shades = np.concatenate([colour, opacity[:, None]], axis=1) * 255
    rows["bytes"] = np.clip(np.concatenate([shades, turn * 128 + 128], axis=1).round(), 0, 255)
    order = np.argsort(-opacity * size.prod(axis=1), kind="stable")
    write_bytes(path, rows[order].tobytes())


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


def write_vertices(path: Path, vertices: np.ndarray, unit: str, *comments: str) -> None:
    """Write what `splat_vertices` returned. Raises ConfigurationError as `write_splats`."""
    with replacing(path) as scratch:
        write_ply(scratch, {"vertex": vertices}, [*comments, f"unit {unit}"])


def read_splats(path: Path) -> dict[str, np.ndarray]:
    """Means, quats, scales, opacities and colours (N, ...) float32 of a splat file.

    Raises:
        InputError: not a PLY file, or one without the properties of Gaussian splats.
    """
    try:
        vertices = read_ply(path)["vertex"]
        columns = {name: np.asarray(vertices[name], np.float32) for name in NAMES if name[0] != "n"}
    except (InputError, ValueError, KeyError) as error:
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
