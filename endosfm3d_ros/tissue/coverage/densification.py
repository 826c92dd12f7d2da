"""New Gaussians where the image shows tissue that the map has not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import cv2
import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tissue.appearance.rendering import Rendering
from endosfm3d_ros.tissue.appearance.visibility import pixels_as_rays
from endosfm3d_ros.tissue.coverage.density import Density, DensityConfig, wanted_density
from endosfm3d_ros.tissue.coverage.inpainting import push_pull
from endosfm3d_ros.tissue.deformation.graph import DeformationGraph
from endosfm3d_ros.tissue.observation import DepthNoise, Observation
from endosfm3d_ros.tissue.store.gaussians import GaussianStore


@dataclass(frozen=True)
class DensificationConfig:
    """Lengths in pixels of the working image (320 wide)."""

    spread: float = 0.58  # of the spacing: standard deviation along the surface
    flatness: float = 0.2  # thickness as a share of that
    grazing: float = 0.4  # cosine to the viewing ray; steeper normals are bent back to it
    opacity: float = 0.9  # with this spread the surface is covered by 0.92 on average
    covered: float = 0.6  # alpha; thinner places get new Gaussians
    per_frame: int = 4000  # new ones after the first frame
    infer_every: int = 5  # frames between looks at every gap, hidden places included; between ...
    worth_growing: float = 0.005  # ... them the map grows where this share of the view is new
    inferred_spacing: float = 2.0  # factor on the spacing where nothing was ever seen
    inferred_weight: float = 0.1  # observations that a filled-in place is worth
    filled_weight: float = 0.3  # the same where colour was seen but depth was filled in
    normal_blur: float = 2.0  # px, of the depth that normals are taken from


@dataclass(frozen=True)
class Place:
    """From where the map is grown."""

    seen: Observation
    T_map_camera: np.ndarray  # 4x4
    frame: int  # number, for the age of what is planted
    spending: DensityConfig

    @cached_property
    def density(self) -> Density:
        """How close together Gaussians should lie; most frames need not know."""
        return wanted_density(self.seen.grey, self.seen.color, self.spending)


@dataclass(frozen=True)
class Surface:
    """What new Gaussians are cut from; (h, w) of the working image, camera frame."""

    depth: np.ndarray  # (h, w) metres
    smooth: np.ndarray  # (h, w) the same without noise, for normals
    rgb: np.ndarray  # (h, w, 3)
    weight: np.ndarray  # (h, w) observations that a point is worth
    guessed: np.ndarray  # (h, w) bool: the depth is neither measured nor known to the map


def surface_of(
    seen: Observation,
    view: Rendering,
    measured_support: np.ndarray,
    wanted: np.ndarray,
    config: DensificationConfig,
) -> Surface | None:
    """Depth and colour without gaps: measured, else from the map, else filled in from the rim.

    Args:
        seen: the image.
        view: the map from there.
        measured_support: (h, w) bool where the map knows its depth; guesses must not beget guesses.
        wanted: (h, w) bool where colours are asked for; other gaps in them may stay.
        config: weights.

    Returns:
        None where there is no depth at all.
    """
    measured = np.isfinite(seen.depth)
    mapped = np.isfinite(view.depth)
    known = measured | (mapped & measured_support)
    if not known.any():
        return None
    depth = np.where(measured, seen.depth, view.depth)
    if not known.all():
        depth = np.where(known, depth, _filled(depth, known))
    rgb = seen.rgb
    if (wanted & ~seen.color).any():
        rgb = push_pull(np.where(seen.color[..., None], rgb, view.rgb), seen.color | mapped)
    weight = np.where(measured, seen.confidence, np.float32(config.filled_weight))
    weight = np.where(seen.color & known, weight, np.float32(config.inferred_weight))
    smooth = cv2.GaussianBlur(depth, (0, 0), config.normal_blur)
    return Surface(depth, smooth, rgb, weight, ~known)


def _filled(depth: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(h, w) float32 continuation of the known depth; smooth, so a quarter of it will do."""
    rest = push_pull(depth[::2, ::2], known[::2, ::2])
    return cv2.resize(rest, depth.shape[::-1], interpolation=cv2.INTER_LINEAR)


def densify(
    store: GaussianStore,
    graph: DeformationGraph,
    surface: Surface,
    wanted: np.ndarray,
    place: Place,
    config: DensificationConfig,
    inferred: bool = False,
    limit: int | None = None,
) -> int:
    """Plant Gaussians on a grid over the wanted pixels; returns how many.

    Args:
        store: the map.
        graph: that carries it; gets nodes where it has none.
        surface: what they lie on.
        wanted: (h, w) bool.
        place: image and pose.
        config: how dense and how large.
        inferred: the place was never seen.
        limit: at most so many, evenly thinned.
    """
    camera = place.seen.camera
    pixels, spacing = _chosen(place.density, wanted, config.inferred_spacing if inferred else 1.0)
    room = store.room if limit is None else min(limit, store.room)
    if len(pixels) > room:
        kept = np.linspace(0, len(pixels) - 1, room).astype(np.int64)
        pixels, spacing = pixels[kept], spacing[kept]
    if not len(pixels):
        return 0
    column, row = np.rint(pixels).astype(np.int64).T
    points = _on_rays(pixels, surface.depth[row, column], camera)
    size = config.spread * spacing * points[:, 2] / camera.fx
    R = place.T_map_camera[:3, :3].astype(np.float32)
    colors = _smoothly(surface.rgb, pixels)
    means = points @ R.T + place.T_map_camera[:3, 3].astype(np.float32)
    index, weight = graph.bind(means)
    store.add(
        {
            "means": means,
            "quats": facing(_normals(surface.smooth, row, column, camera, config) @ R.T),
            "scales": size[:, None] * np.array([1, 1, config.flatness], np.float32),
            "opacities": np.full(len(row), config.opacity, np.float32),
            "colors": colors,
            "clear_colors": colors,
            "weights": surface.weight[row, column],
            "born": np.full(len(row), place.frame, np.int32),
            "seen": np.full(len(row), place.frame, np.int32),
            "hits": np.full(len(row), 0 if inferred else 1, np.int32),
            "inferred": np.full(len(row), inferred),
            "guessed": surface.guessed[row, column],
            "node_index": index,
            "node_weight": weight,
        }
    )
    return len(row)


def uncovered(
    view: Rendering,
    seen: Observation,
    measured_support: np.ndarray,
    noise: DepthNoise,
    config: DensificationConfig,
) -> np.ndarray:
    """(h, w) bool: tissue is seen where the map is thin or is known to lie behind it."""
    before = measured_support & (seen.depth < view.depth * (1 - noise.gate))  # NaN compares false
    return seen.color & ((view.alpha < config.covered) | before)


def facing(normals: np.ndarray) -> np.ndarray:
    """(N, 4) float32 quaternions w x y z that turn the z axis onto unit normals (N, 3)."""
    nx, ny, nz = normals.T
    flip = np.where(nz < 0, -1.0, 1.0)  # a flat Gaussian has no front; avoids the half turn
    quats = np.stack([1 + flip * nz, -flip * ny, flip * nx, np.zeros_like(nx)], axis=1)
    return (quats / np.linalg.norm(quats, axis=1, keepdims=True)).astype(np.float32)


def _chosen(density: Density, wanted: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """(n, 2) float32 grid pixels inside the wanted ones, (n,) float32 their spacing.

    Every pixel takes from the grid of its own spacing, so grids meet along their borders.
    """
    pixels, spacings = [], []
    for level, spacing in enumerate(factor * density.spacings):
        here = wanted & (density.level == level)
        if here.any():
            grid = _grid(*wanted.shape, float(spacing))
            column, row = np.rint(grid).astype(np.int64).T
            pixels.append(grid[here[row, column]])
            spacings.append(np.full(len(pixels[-1]), spacing, np.float32))
    if not pixels:
        return np.empty((0, 2), np.float32), np.empty(0, np.float32)
    return np.concatenate(pixels), np.concatenate(spacings)


@lru_cache(maxsize=16)
def _grid(height: int, width: int, spacing: float) -> np.ndarray:
    """(N, 2) float32 pixels of a hexagonal grid over the image."""
    rows = np.arange(spacing / 2, height, spacing * 0.9306)  # as dense as a square grid
    columns = np.arange(spacing / 4, width, spacing * 1.0746)
    u, v = np.meshgrid(columns, rows)
    u[1::2] += spacing / 2
    pixels = np.stack([u, v], axis=-1).reshape(-1, 2).astype(np.float32) - np.float32(0.5)
    return np.clip(pixels, 0, (width - 1, height - 1)).astype(np.float32)


def _on_rays(pixels: np.ndarray, z: np.ndarray, camera: PinholeCamera) -> np.ndarray:
    """(N, 3) float32 points at depths z (N) on the rays of pixels (N, 2)."""
    return np.column_stack([pixels_as_rays(camera, pixels) * z[:, None], z]).astype(np.float32)


def _normals(
    depth: np.ndarray,
    row: np.ndarray,
    column: np.ndarray,
    camera: PinholeCamera,
    config: DensificationConfig,
) -> np.ndarray:
    """(N, 3) float32 unit normals away from the camera, by central differences at pixels."""
    row = np.clip(row, 1, depth.shape[0] - 2)
    column = np.clip(column, 1, depth.shape[1] - 2)

    def point(down: int, right: int) -> np.ndarray:
        r, c = row + down, column + right
        return _on_rays(np.column_stack([c, r]).astype(np.float32), depth[r, c], camera)

    ray = _unit(point(0, 0))
    normal = _unit(np.cross(point(0, 1) - point(0, -1), point(1, 0) - point(-1, 0)))
    # a disc seen from its edge covers nothing: what depth noise tilted too far is bent back
    along = np.maximum((normal * ray).sum(axis=1, keepdims=True), 0)
    return _unit(normal + np.maximum(config.grazing - along, 0) / (1 - config.grazing) * 2 * ray)


def _unit(vectors: np.ndarray) -> np.ndarray:
    """(N, 3) of length one; zero stays zero."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.maximum(length, np.float32(1e-20))


def _smoothly(image: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """(N, 3) bilinear samples; in strips, because OpenCV limits an image to 32767 rows."""
    strip, border = 16384, cv2.BORDER_REPLICATE
    parts = [
        cv2.remap(image, pixels[k : k + strip, None], None, cv2.INTER_LINEAR, None, border)
        for k in range(0, len(pixels), strip)
    ]
    return np.concatenate(parts).reshape(-1, image.shape[2])
