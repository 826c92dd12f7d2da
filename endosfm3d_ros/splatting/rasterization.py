"""Differentiable Gaussian splatting with gsplat's signature on CUDA and on CPU tensors.

Conventions, the same on both (Kerbl et al. 2023; gsplat 1.5, arXiv 2409.06765):
- cameras look along +z, pixel centres lie at +0.5, viewmats map world to camera;
- footprint: J R S S^T R^T J^T + eps2d I, J the perspective Jacobian, taken at a slope x/z of at
  most 0.3 half-fields of view outside the image;
- alpha = min(0.999, opacity exp(-sigma)); contributions below 1/255 are dropped; a pixel stops
  before its transmittance would fall to 1e-4;
- "D" is the blended z of the Gaussians' centres, "ED" that divided by max(alpha, 1e-10);
- "antialiased" multiplies the opacity by sqrt(det before eps2d / det after).

Only on the CPU: a Gaussian with a NaN or infinite parameter, a quaternion of length zero or a
negative scale is culled and gets zero gradient; the result does not depend on the number of
threads (`cpu.set_threads`), down to the last bit.
"""

from __future__ import annotations

from torch import Tensor

from endosfm3d_ros.splatting.cpu import rasterize_on_cpu
from endosfm3d_ros.splatting.cuda import rasterize_on_cuda
from endosfm3d_ros.splatting.inputs import GaussianTensors, RasterSettings


def rasterization(
    means: Tensor,  # [N, 3] world
    quats: Tensor,  # [N, 4] w x y z, normalised inside
    scales: Tensor,  # [N, 3] standard deviations, world units
    opacities: Tensor,  # [N] in [0, 1]
    colors: Tensor,  # [N, D] or [C, N, D], any D
    viewmats: Tensor,  # [C, 4, 4] world to camera
    Ks: Tensor,  # [C, 3, 3] pixels; skew is ignored
    width: int,
    height: int,
    near_plane: float = 0.01,
    far_plane: float = 1e10,
    radius_clip: float = 0.0,
    eps2d: float = 0.3,
    render_mode: str = "RGB",
    backgrounds: Tensor | None = None,  # [C, D]; never added to depth
    rasterize_mode: str = "classic",
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Renders N Gaussians into C cameras; float32 throughout, on cpu or cuda.

    Returns renders [C, H, W, D (+ 1 with depth)] or [C, H, W, 1] for depth alone, alphas
    [C, H, W, 1], and info with radii [C, N, 2] int32 px (zero: culled), means2d [C, N, 2] px,
    depths [C, N] and conics [C, N, 3] px^-2. Gradients reach means, quats, scales, opacities,
    colors, viewmats and backgrounds; not Ks, and on the CPU not through info.
    Raises InputError naming a value that cannot be used, and ConfigurationError where the back end
    for the tensors' device is not installed.
    """
    gaussians = GaussianTensors(means, quats, scales, opacities, colors, viewmats, Ks, backgrounds)
    settings = RasterSettings(
        width, height, near_plane, far_plane, radius_clip, eps2d, render_mode, rasterize_mode
    )
    settings.check()
    gaussians.check()
    on_cuda = means.device.type == "cuda"
    return (rasterize_on_cuda if on_cuda else rasterize_on_cpu)(gaussians, settings)
