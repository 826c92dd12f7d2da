"""Finds, and in a source checkout builds, the CPU rasteriser; its C interface in ctypes."""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch

import endosfm3d_ros
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.locations import cache_folder
from endosfm3d_ros.splatting import build
from endosfm3d_ros.splatting.compiled import CompiledLibraries

log = logging.getLogger(__name__)


class SplatScene(ctypes.Structure):
    """Mirror of csrc/abi.hpp; pointers are torch data pointers."""

    _fields_ = (
        ("means", ctypes.c_void_p),
        ("quats", ctypes.c_void_p),
        ("scales", ctypes.c_void_p),
        ("opacities", ctypes.c_void_p),
        ("colors", ctypes.c_void_p),
        ("viewmats", ctypes.c_void_p),
        ("intrinsics", ctypes.c_void_p),
        ("backgrounds", ctypes.c_void_p),
        ("count", ctypes.c_int64),
        ("held_entries", ctypes.c_int64),
        ("cameras", ctypes.c_int32),
        ("color_channels", ctypes.c_int32),
        ("colors_per_camera", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("depth", ctypes.c_int32),
        ("antialiased", ctypes.c_int32),
        ("threads", ctypes.c_int32),
        ("near_plane", ctypes.c_double),
        ("far_plane", ctypes.c_double),
        ("radius_clip", ctypes.c_double),
        ("eps2d", ctypes.c_double),
    )


class SplatImages(ctypes.Structure):
    """Mirror of csrc/abi.hpp."""

    _fields_ = tuple(
        (name, ctypes.c_void_p)
        for name in ("renders", "alphas", "radii", "means2d", "depths", "conics")
    )


class SplatGradients(ctypes.Structure):
    """Mirror of csrc/abi.hpp; the first two are read, the others written."""

    _fields_ = tuple(
        (name, ctypes.c_void_p)
        for name in (
            *("renders", "alphas"),
            *("colors", "means", "quats", "scales", "opacities", "viewmats", "backgrounds"),
        )
    )


def supported_instruction_sets() -> list[str]:
    """Instruction sets that this processor runs, best first."""
    capability = torch.backends.cpu.get_cpu_capability().lower()
    names = list(build.instruction_sets())
    return names[names.index(capability) :] if capability in names else names[-1:]


def find_library(report: Callable[[str], None] = log.info) -> Path:
    """The installed library, else one from the cache, which is built when it is missing.

    `report` hears that one is compiled, which takes seconds.
    Raises ConfigurationError where it has to be built and cannot be.
    """
    names = supported_instruction_sets()
    for name in names:
        for folder in installed_folders():
            if build.fits(installed := folder / build.library_name(name)):
                return installed
    if not build.sources():
        raise ConfigurationError(
            f"no compiled CPU rasteriser in {Path(__file__).parent}: accepted are "
            f"{', '.join(map(build.library_name, names))}; install the package again"
        )
    return CompiledLibraries(cache_folder() / "splatting").obtain(names[0], report)


def installed_folders() -> list[Path]:
    """Where the package lies: a checkout has no libraries, the package installed beside it has."""
    return [Path(__file__).parent, *(Path(path, "splatting") for path in endosfm3d_ros.__path__)]


@lru_cache(maxsize=1)
def load_library() -> ctypes.CDLL:
    """The rasteriser with its functions declared; loaded once per process.

    Raises ConfigurationError.
    """
    path = find_library()
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise ConfigurationError(f"the CPU rasteriser {path} does not load: {error}") from error
    library.splat_forward.restype = ctypes.c_void_p
    library.splat_forward.argtypes = (ctypes.POINTER(SplatScene), ctypes.POINTER(SplatImages))
    library.splat_backward.restype = ctypes.c_int
    library.splat_backward.argtypes = (
        ctypes.c_void_p,
        ctypes.POINTER(SplatScene),
        ctypes.POINTER(SplatGradients),
    )
    library.splat_release.restype = None
    library.splat_release.argtypes = (ctypes.c_void_p,)
    library.splat_scene_bytes.restype = ctypes.c_int64
    if library.splat_scene_bytes() != ctypes.sizeof(SplatScene):
        raise ConfigurationError(f"{path} was built from other sources; install the package again")
    return library
