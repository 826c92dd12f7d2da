"""Whether gsplat's CUDA kernels are compiled, without compiling them by the question.

Importing `gsplat.cuda._backend` compiles them for minutes where no prebuilt wheel brought them,
so a node asks here first and leaves the compilation to `endosfm3d engines build`.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from endosfm3d_ros.errors import ConfigurationError

EXTENSION = "gsplat_cuda"  # name under which gsplat 1.x compiles itself


def installed() -> bool:
    """Whether the package is there at all."""
    return find_spec("gsplat") is not None


def compiled() -> bool:
    """Whether a wheel brought the kernels, or torch's extension cache has them."""
    if not installed():
        return False
    if find_spec("gsplat.csrc") is not None:
        return True
    from torch.utils.cpp_extension import _get_build_directory

    return (Path(_get_build_directory(EXTENSION, verbose=False)) / f"{EXTENSION}.so").is_file()


def require_compiled() -> None:
    """Nothing where the kernels are ready.

    Raises:
        ConfigurationError: they are not; the sentence says what to run.
    """
    if not compiled():
        raise ConfigurationError(
            "gsplat's CUDA kernels are not compiled: run `endosfm3d engines build` once"
        )


def load_kernels() -> None:
    """Load the kernels; compile them first, which takes minutes, unless they are ready.

    Raises:
        ConfigurationError: no kernels came out, as without the CUDA toolkit.
    """
    from gsplat.cuda import _backend

    if _backend._C is None:
        import torch

        raise ConfigurationError(
            "gsplat has no compiled CUDA kernels: install the CUDA toolkit (nvcc) that belongs to "
            f"torch {torch.__version__}, or a prebuilt gsplat wheel"
        )
