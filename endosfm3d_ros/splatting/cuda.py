"""Gaussian splatting on CUDA: gsplat, imported only when it is needed."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.splatting.inputs import GaussianTensors, RasterSettings


def require_gsplat() -> ModuleType:
    """The gsplat module with working kernels.

    `import gsplat` succeeds without them, so the compiled extension itself is asked for. Raises
    ConfigurationError that names what to install.
    """
    if not torch.cuda.is_available():
        raise ConfigurationError(
            "splatting on cuda needs an NVIDIA GPU and a CUDA build of torch; "
            "tensors on the cpu are rendered without both"
        )
    try:
        import gsplat
        from gsplat.cuda import _backend
    except ImportError as error:
        raise ConfigurationError(
            'splatting on cuda needs gsplat: pip install "gsplat>=1.5,<2"'
        ) from error
    if _backend._C is None:
        raise ConfigurationError(
            "gsplat has no compiled CUDA kernels: install the CUDA toolkit (nvcc) that belongs to "
            f"torch {torch.__version__}, or a prebuilt gsplat wheel"
        )
    return gsplat


def rasterize_on_cuda(
    gaussians: GaussianTensors, settings: RasterSettings
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """The same as `rasterize_on_cpu` through gsplat; its info has more keys.

    `packed=False`: an endoscopic map is mostly in view, so packing costs more than it saves.
    """
    gsplat = require_gsplat()
    return gsplat.rasterization(**vars(gaussians), **vars(settings), packed=False)
