"""From image and mask to a closed mesh in the right place."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from endosfm3d_ros.engines import EngineSettings
from endosfm3d_ros.engines.recipe import TOLERANCES
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.models.lrm.crop import SquareCrop, crop_around, released_squeeze, turn_to
from endosfm3d_ros.tools.models.lrm.density import VolumeConfig, density_volume
from endosfm3d_ros.tools.models.lrm.engine import find_lrm
from endosfm3d_ros.tools.models.lrm.frame import (
    SOURCE_DISTANCE,
    SOURCE_FOCAL,
    lrm_to_optical,
    optical_to_lrm,
)
from endosfm3d_ros.tools.models.lrm.source import LrmSource, ReconstructionConfig
from endosfm3d_ros.tools.models.lrm.surface import (
    SurfaceConfig,
    closed_surface,
    coloured_mesh,
    marching_cubes,
)
from endosfm3d_ros.tools.models.source import model_source
from endosfm3d_ros.tools.shapes.edges import MeshEdges
from endosfm3d_ros.tools.types import ToolObservation

CAMERA = PinholeCamera(320, 256, 285.0, 285.0, 150.0, 130.0)


@pytest.fixture(scope="module")
def planes(network):
    image = torch.rand((1, 3, 112, 112), generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        return network(image)[0]


def test_a_point_of_the_model_is_seen_where_the_crop_showed_it():
    """The birth pose against the source camera, for points in the plane of the cube's centre."""
    crop = SquareCrop((220.0, 90.0), 80.0)
    T = crop.birth(CAMERA)
    straight = np.array([[0.0, 0.0, 0.0]])
    np.testing.assert_allclose(
        CAMERA.project(straight @ T[:3, :3].T + T[:3, 3]), [crop.centre], atol=1e-9
    )
    points = np.array([[0.5, 0.0, 0.0], [0.0, -0.4, 0.0]])
    seen = CAMERA.project(points @ T[:3, :3].T + T[:3, 3]) - crop.centre
    wanted = points[:, :2] * SOURCE_FOCAL / SOURCE_DISTANCE * crop.side
    np.testing.assert_allclose(seen, wanted, atol=0.1 * np.abs(wanted).max())
    centred = SquareCrop((CAMERA.cx, CAMERA.cy), 80.0).birth(CAMERA)
    seen = CAMERA.project(points @ centred[:3, :3].T + centred[:3, 3]) - (150.0, 130.0)
    np.testing.assert_allclose(seen, wanted, atol=1e-9)


def test_the_smallest_turn():
    ray = np.array([0.3, -0.2, 0.8]) / np.linalg.norm([0.3, -0.2, 0.8])
    R = turn_to(ray)
    np.testing.assert_allclose(R @ [0, 0, 1], ray, atol=1e-12)
    np.testing.assert_allclose(R @ R.T, np.eye(3), atol=1e-12)
    assert np.trace(R) == pytest.approx(1 + 2 * ray[2])
    points = np.random.default_rng(0).random((4, 3))
    np.testing.assert_allclose(optical_to_lrm(lrm_to_optical(points)), points)


def test_the_crop_shows_the_tool_alone_in_the_middle():
    image = np.full((256, 320, 3), 90, np.uint8)
    mask = np.zeros((256, 320), bool)
    mask[100:140, 0:64] = True  # leaves the image on the left
    image[mask] = (255, 0, 0)
    crop = crop_around(mask)
    assert crop.side == pytest.approx(80)
    prepared = crop.prepared(image, mask, 100)[0]
    assert prepared.shape == (3, 100, 100)
    tool = prepared[1] < 0.5
    rows, columns = np.nonzero(tool)
    assert abs(rows.mean() - 49.5) < 0.5 and abs(columns.mean() - 49.5) < 0.5
    assert columns.max() - columns.min() + 1 == pytest.approx(80, abs=1)
    np.testing.assert_allclose(prepared[:, 0], 1)  # white around it
    with pytest.raises(InputError, match="empty"):
        crop_around(~mask & mask)


def test_the_fine_volume_is_exact_where_the_surface_passes(network, planes):
    sparse = density_volume(network.radiance, planes, VolumeConfig(24, 2))
    dense = density_volume(network.radiance, planes, VolumeConfig(47, 1))
    assert sparse.shape == dense.shape
    vertices, _ = marching_cubes(sparse, 3.0)
    expected, _ = marching_cubes(dense, 3.0)
    ours, theirs = ({tuple(row) for row in v.round(4).tolist()} for v in (vertices, expected))
    assert len(ours & theirs) / len(theirs) > 0.95  # all but features below the coarse step


def test_surfaces_are_closed_even_at_the_border_of_the_cube():
    axis = np.linspace(-1, 1, 24)
    _, y, z = np.meshgrid(axis, axis, axis, indexing="ij")
    half = np.where(np.sqrt(y**2 + z**2) < 0.5, 8.0, 0.0).astype(np.float32)  # through both ends
    vertices, faces = closed_surface(half, 3.0)
    assert MeshEdges.of(faces).closed
    assert np.abs(vertices[:, 0]).max() == pytest.approx(1)
    _, open_faces = marching_cubes(half, 3.0)
    assert not MeshEdges.of(open_faces).closed
    with pytest.raises(InputError, match="does not cross 3"):
        marching_cubes(np.zeros((8, 8, 8), np.float32), 3.0)


def test_a_mesh_is_small_coloured_and_closed(network, planes):
    config = SurfaceConfig(volume=VolumeConfig(24, 2), faces=3000, debris=1.0)
    vertices, faces, colors = coloured_mesh(network.radiance, planes, config)
    assert colors.shape == vertices.shape and colors.dtype == np.uint8
    assert np.abs(vertices).max() <= 1.05
    assert faces.max() < len(vertices)
    assert colors.std() > 0


def observation():
    rng = np.random.default_rng(5)
    mask = np.zeros((256, 320), bool)
    mask[90:150, 100:220] = True
    image = rng.integers(0, 255, (256, 320, 3), np.uint8)
    return ToolObservation(mask, CAMERA, image=image)


@pytest.mark.parametrize("squeezed", [False, True])
def test_a_tool_is_reconstructed_in_its_place(folder, tmp_path, squeezed):
    engine = EngineSettings(backends=("torch",), cache_dir=tmp_path)
    surface = SurfaceConfig(volume=VolumeConfig(24, 1), faces=2000)
    source = LrmSource(folder, ReconstructionConfig(squeezed, surface, engine))
    model = source.model(observation())
    assert model.source == "lrm" and not model.metric
    assert len(model.faces) < 6000  # noise has too many holes to be decimated further
    in_camera = model.birth[:3, 3]
    seen = CAMERA.project(in_camera[None])[0]
    centre = (159.5, 127.5) if squeezed else (159.5, 119.5)
    np.testing.assert_allclose(seen, centre, atol=1e-6)
    height = np.abs(model.vertices[:, 1]).max()
    assert height <= 1.01 * (256 / 320 if squeezed else 1)
    with pytest.raises(InputError, match="without an image"):
        source.model(replace(observation(), image=None))
    high = SurfaceConfig(volume=VolumeConfig(12, 1, threshold=1e3))
    with pytest.raises(InputError, match="so it has no surface"):
        LrmSource(folder, ReconstructionConfig(squeezed, high, engine)).model(observation())


def test_the_exported_network_answers_like_torch(folder, tmp_path):
    pytest.importorskip("openvino")
    settings = EngineSettings(backends=("openvino",), cache_dir=tmp_path)
    engine = LrmSource(folder, ReconstructionConfig(engine=settings)).engine
    assert engine.info.backend == "openvino"
    assert engine.info.precision in ("bf16", "f32")  # what the processor has of these
    assert max(engine.info.errors.values()) < TOLERANCES[engine.info.precision]
    again = LrmSource(folder, ReconstructionConfig(engine=settings)).engine
    assert again.info.cached


def test_the_released_squeeze_keeps_corners_and_whitens_the_rest():
    image = np.full((40, 60, 3), 10, np.uint8)
    mask = np.zeros((40, 60), bool)
    mask[:20, :30] = True
    prepared = released_squeeze(image, mask, 21)[0]
    assert prepared[0, 0, 0] == pytest.approx(10 / 255)
    assert prepared[0, -1, -1] == 1 and prepared.max() <= 1


def test_weights_are_found_where_they_are_named(folder, monkeypatch, tmp_path):
    assert find_lrm(str(folder)) == folder
    monkeypatch.setenv("ENDOSFM3D_LRM", str(folder))
    assert model_source("lrm").folder == folder
    monkeypatch.setenv("ENDOSFM3D_LRM", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"config\.json and model\.safetensors"):
        find_lrm()
