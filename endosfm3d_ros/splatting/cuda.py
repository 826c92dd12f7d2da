"""Gaussian splatting on CUDA: gsplat, imported only when it is needed."""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.splatting import gsplat_kernels
from endosfm3d_ros.splatting.inputs import GaussianTensors, RasterSettings


def require_gsplat() -> ModuleType:
    """The gsplat module with working kernels.

    `import gsplat` succeeds without them, so the compiled extension itself is asked for; it is
    never compiled here, which takes minutes. Raises ConfigurationError that names what to install
    or to run.
    """
    if not torch.cuda.is_available():
        raise ConfigurationError(
            "splatting on cuda needs an NVIDIA GPU and a CUDA build of torch; "
            "tensors on the cpu are rendered without both"
        )
    if not gsplat_kernels.installed():
        raise ConfigurationError('splatting on cuda needs gsplat: pip install "gsplat>=1.5,<2"')
    gsplat_kernels.require_compiled()
    gsplat_kernels.load_kernels()
    import gsplat

    return gsplat


def rasterize_on_cuda(
    gaussians: GaussianTensors, settings: RasterSettings
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """The same as `rasterize_on_cpu` through gsplat; its info has more keys.

    `packed=False`: an endoscopic map is mostly in view, so packing costs more than it saves.
    """
    gsplat = require_gsplat()
    return gsplat.rasterization(**vars(gaussians), **vars(settings), packed=False)
