"""The reconstruction model against `openlrm_base`, `openlrm_tiny` and `openlrm_io`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from scipy.spatial import cKDTree

from endosfm3d_ros.evaluation.parity.check import Check, absolute, close, mean_std, scaled
from endosfm3d_ros.evaluation.parity.engines import answers, exporting_backends, recipe_of
from endosfm3d_ros.evaluation.parity.golden import GoldenArrays, GoldenFolder
from endosfm3d_ros.networks.lrm import LrmConfig, LrmNetwork, lrm_network
from endosfm3d_ros.tools.models.lrm.crop import released_squeeze
from endosfm3d_ros.tools.models.lrm.density import VolumeConfig, dense_density, density_volume
from endosfm3d_ros.tools.models.lrm.surface import colors_at, marching_cubes

POINT = {"rtol": 1e-4, "atol": 1e-6}
FACES = 0.1  # ambiguous cells, of which generated weights make many, are cut differently
RELEASED_COLORS = {1: (128, 0, 0), 2: (0, 128, 0)}  # RGB of the labels in the released masks


def network_of(folder: GoldenFolder, name: str) -> LrmNetwork:
    """The network with the weights of the folder's seed."""
    config, image_size, tensors = folder.reconstruction(name)
    return lrm_network(LrmConfig.from_json(config, image_size), tensors, "golden weights")


def base_checks(folder: GoldenFolder) -> Iterator[Check]:
    """All checks of the base model: 260 million parameters."""
    yield from network_checks(folder, "openlrm_base")


def tiny_checks(folder: GoldenFolder) -> Iterator[Check]:
    """All checks of the small model, which has other widths in encoder and transformer."""
    yield from network_checks(folder, "openlrm_tiny")


def network_checks(folder: GoldenFolder, name: str) -> Iterator[Check]:
    """Tokens, planes, points and grid, then the planes with the camera folded in."""
    golden, network = folder.arrays(name), network_of(folder, name)
    image = golden.image("image_u8")
    with torch.inference_mode():
        camera = network.source_embedding()
        yield scaled("camera_embedding", camera, golden["camera_embedding"])
        image_tokens = network.encoder(image)
        yield scaled("image_tokens_first8", image_tokens[:, :8], golden["image_tokens_first8"])
        yield scaled("image_tokens_last2", image_tokens[:, -2:], golden["image_tokens_last2"])
        expected = golden["image_tokens_mean_std"]
        yield scaled("image_tokens_mean_std", mean_std(image_tokens), expected)
        tokens = network.triplane_tokens(image_tokens, camera)
        for part, rows in (("first4", tokens[:, :4]), ("last4", tokens[:, -4:])):
            yield scaled(f"transformer_tokens_{part}", rows, golden[f"transformer_tokens_{part}"])
        planes = network.planes(tokens)
        yield from plane_checks("planes", planes, golden)
        yield from point_checks(network, planes[0], golden)
    yield from exported_checks(network, image, golden)


def plane_checks(name: str, planes: torch.Tensor, golden: GoldenArrays) -> Iterator[Check]:
    """The stored part of (1, 3, C, R, R) planes, and their statistics."""
    a, b, c = golden["planes_stride"]
    yield scaled(name, planes[:, :, ::a, ::b, ::c], golden["planes_strided"])
    spread = torch.stack([mean_std(plane) for plane in planes[0]])
    yield scaled(f"{name}_mean_std", spread, golden["planes_mean_std"])


def point_checks(
    network: LrmNetwork, planes: torch.Tensor, golden: GoldenArrays
) -> Iterator[Check]:
    """Density and colour at points, and on the grid by tables."""
    sigma, rgb = network.radiance(planes, torch.from_numpy(golden["points"]))
    yield close("sigma", sigma, golden["sigma"], **POINT)
    yield close("rgb", rgb, golden["rgb"], **POINT)
    axis = torch.linspace(-1, 1, 32)
    corners = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), dim=-1)
    sigma, rgb = network.radiance(planes, corners.reshape(-1, 3))
    yield close("grid32_sigma", sigma.reshape(32, 32, 32), golden["grid32_sigma"], **POINT)
    stored = rgb.reshape(32, 32, 32, 3)[::4, ::4, ::4]
    yield close("grid32_rgb", stored, golden["grid32_rgb_strided"], **POINT)
    by_tables = dense_density(network.radiance, planes, axis)
    yield close("grid32_sigma_by_tables", by_tables, golden["grid32_sigma"], **POINT)


def exported_checks(
    network: LrmNetwork, image: torch.Tensor, golden: GoldenArrays
) -> Iterator[Check]:
    """Planes with the camera folded in: by torch, and by each engine."""
    folded = network.fixed_for_export()
    with torch.inference_mode():
        yield from plane_checks("folded_planes", folded(image), golden)
    recipe = recipe_of("lrm", folded, {"image": image}, ("planes",))
    for name in exporting_backends():
        outputs = answers(name, recipe, {"image": image}, (f"{name}_planes",))
        if isinstance(outputs, list):
            yield from outputs
        else:
            planes = torch.from_numpy(outputs["planes"])
            yield from plane_checks(f"{name}_planes", planes, golden)


def io_checks(folder: GoldenFolder) -> Iterator[Check]:
    """Input preparation as released, the order of tools, and a mesh."""
    golden = folder.arrays("openlrm_io")
    image, labels = golden["image_u8"].transpose(1, 2, 0), golden["mask_label"]
    for label in (1, 2):
        expected = golden[f"prepared_label{label}"]
        prepared = released_squeeze(image, labels == label, expected.shape[-1])[0]
        yield absolute(f"prepared_label{label}", prepared, expected, 1e-5)
    order = np.array(released_order(RELEASED_COLORS))
    yield absolute("output_order_labels", order, golden["output_order_labels"], 0)
    yield from mesh_checks(folder, golden)


def released_order(colors: dict[int, tuple[int, int, int]]) -> list[int]:
    """Labels in the order in which the published code enumerates their RGB colours."""
    return sorted(colors, key=colors.__getitem__)


def mesh_checks(folder: GoldenFolder, golden: GoldenArrays) -> Iterator[Check]:
    """Vertices as a set, their colours, and the number of faces."""
    network = network_of(folder, "openlrm_tiny")
    threshold, size = float(golden["mesh_iso"]), int(golden["mesh_size"])
    config = VolumeConfig(coarse=size, refinement=1, threshold=threshold)
    with torch.inference_mode():
        planes = network(folder.arrays("openlrm_tiny").image("image_u8"))[0]
    volume = density_volume(network.radiance, planes, config)
    vertices, faces = marching_cubes(volume, threshold)
    expected = golden["mesh_vertices_sorted"]
    there, nearest = cKDTree(vertices).query(expected)
    back, _ = cKDTree(expected).query(vertices[on_grid_edges(vertices, size)])
    yield Check("mesh_vertices", float(max(there.max(), back.max())), 1e-4)
    colors = colors_at(network.radiance, planes, vertices)[nearest].astype(int)
    yield absolute("mesh_colors", colors, golden["mesh_colors_sorted_u8"].astype(int), 1)
    count = golden["mesh_n_faces"]
    yield close("mesh_n_faces", np.array(len(faces)), count, rtol=FACES, atol=1.0)


def on_grid_edges(vertices: np.ndarray, size: int) -> np.ndarray:
    """(V,) bool: not the points inside a cell with which Lewiner's table resolves ambiguities."""
    steps = (vertices + 1) / 2 * (size - 1)
    return (np.abs(steps - np.rint(steps)) < 1e-4).sum(axis=1) >= 2
