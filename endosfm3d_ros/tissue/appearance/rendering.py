"""The map as a camera sees it, and photometric residuals handed back to the Gaussians.

The tissue is opaque, so blended values are divided by the accumulated alpha: thin coverage
between two Gaussians does not darken the image (normalised splatting, Zwicker et al. 2001).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.runtime.thread_limits import one_torch_thread
from endosfm3d_ros.splatting.rasterization import rasterization
from endosfm3d_ros.tissue.store.gaussians import GaussianStore

NEAR = 0.002  # metres; tissue nearer than that touches the lens
DETAIL = 1.0  # px; standard deviation that separates detail from the rest
THINNEST = 0.2  # alpha below which a pixel counts as empty


@dataclass(frozen=True)
class Rendering:
    """One view of the map; arrays are (H, W, ...) of the image or (N, ...) of the slots."""

    rgb: np.ndarray  # (H, W, 3) float32 0..1, 0 where empty
    depth: np.ndarray  # (H, W) float32 metres along z, NaN where empty
    alpha: np.ndarray  # (H, W) float32 0..1
    pixels: np.ndarray  # (N, 2) float32 centres, integer = pixel centre
    z: np.ndarray  # (N,) float32 metres
    shown: np.ndarray  # (N,) bool inside the view and not empty


def empty_view(camera: PinholeCamera) -> Rendering:
    """The view of a map without Gaussians."""
    shape = (camera.height, camera.width)
    return Rendering(
        np.zeros((*shape, 3), np.float32),
        np.full(shape, np.nan, np.float32),
        np.zeros(shape, np.float32),
        np.empty((0, 2), np.float32),
        np.empty(0, np.float32),
        np.empty(0, bool),
    )


def render(store: GaussianStore, camera: PinholeCamera, T_map_camera: np.ndarray) -> Rendering:
    """Colour and depth of the map from a pose (4x4 camera-to-map)."""
    # The rasteriser has threads of its own.
    with one_torch_thread(), torch.no_grad():
        colors = torch.from_numpy(store.view("colors"))
        return _read(*_rasterize(store, colors, camera, T_map_camera))


def back_project(
    store: GaussianStore,
    camera: PinholeCamera,
    T_map_camera: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    sharpness: float = 0.0,
) -> tuple[Rendering, np.ndarray, np.ndarray]:
    """The view, and the mean photometric residual under the footprint of every Gaussian.

    The gradient of a blended image with respect to a colour is the sum of residuals times blending
    weights. Carrying a constant fourth channel gives the sum of the weights in the same pass, and
    the quotient is one Jacobi step of the linear least-squares problem for the colours (SIRT,
    Gilbert 1972).

    Args:
        target: (H, W, 3) float32 RGB 0..1.
        weight: (H, W) float32; 0 withholds a pixel.
        sharpness: by how much details of one pixel are exaggerated; footprints overlap, so plain
            steps are slow to learn them (a preconditioner, the solution stays the same).

    Returns:
        The view before the step, (N, 3) float32 mean residuals, (N,) float32 weights that they
        rest on, in pixels.
    """
    with one_torch_thread():
        view, gradient = _gradient(store, camera, T_map_camera, target, weight, sharpness)
    mass = gradient[:, 3]
    mean = gradient[:, :3] / np.maximum(mass, 1e-3)[:, None]
    return view, mean, mass


def _gradient(
    store: GaussianStore,
    camera: PinholeCamera,
    T_map_camera: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    sharpness: float,
) -> tuple[Rendering, np.ndarray]:
    """The view, and (N, 4) sums of residuals and of weights; arguments as in `back_project`."""
    size = store.size
    colors = torch.ones((size, 4))
    colors[:, :3] = torch.from_numpy(store.view("colors"))
    colors.requires_grad_()
    image, alpha, info = _rasterize(store, colors, camera, T_map_camera)
    view = _read(image.detach(), alpha.detach(), info)
    weight = weight * (view.alpha >= THINNEST)  # an empty pixel says nothing about its neighbours
    residual = (target - view.rgb) * cv2.merge([weight] * 3)
    residual += np.float32(sharpness) * (residual - cv2.GaussianBlur(residual, (0, 0), DETAIL))
    share = weight / np.maximum(view.alpha, np.float32(THINNEST))
    planes = [plane * share for plane in cv2.split(residual)]
    upstream = torch.from_numpy(cv2.merge([*planes, share, np.zeros_like(share)]))
    # Of a number, so that torch does not import what it compares shapes with, which takes a second.
    (gradient,) = torch.autograd.grad(torch.dot(image.reshape(-1), upstream.reshape(-1)), colors)
    return view, gradient.numpy()


def _rasterize(
    store: GaussianStore, colors: torch.Tensor, camera: PinholeCamera, T_map_camera: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """(H, W, D + 1) blended colours and expected depth, (H, W) alpha, info."""
    K = camera.K
    K[:2, 2] += 0.5  # the rasteriser counts from the corner of a pixel
    viewmat = se3.inverse(T_map_camera).astype(np.float32)
    images, alphas, info = rasterization(
        *(torch.from_numpy(store.view(name)) for name in ("means", "quats", "scales", "opacities")),
        colors,
        torch.from_numpy(viewmat)[None],
        torch.from_numpy(K.astype(np.float32))[None],
        camera.width,
        camera.height,
        near_plane=NEAR,
        render_mode="RGB+ED",
        rasterize_mode="antialiased",
    )
    return images[0], alphas[0, ..., 0], info


def _read(image: torch.Tensor, alpha: torch.Tensor, info: dict[str, torch.Tensor]) -> Rendering:
    opacity = alpha.numpy()
    empty = opacity < THINNEST
    *planes, depth = cv2.split(image.numpy())  # whole planes are quicker than pixels of three
    scale = np.where(empty, np.float32(0), 1 / np.maximum(opacity, np.float32(THINNEST)))
    rgb = cv2.merge([plane * scale for plane in planes[:3]])
    depth[empty] = np.nan
    return Rendering(
        rgb,
        depth,
        opacity,
        info["means2d"][0].numpy() - np.float32(0.5),
        info["depths"][0].numpy(),
        (info["radii"][0, :, 0] > 0).numpy(),
    )
