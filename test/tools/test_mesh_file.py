"""Tool meshes from files of every accepted kind, and from every kind of bad file."""

import numpy as np
import pytest
import trimesh

from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.tools.models.mesh_file import MeshSource
from endosfm3d_ros.tools.models.source import model_source
from endosfm3d_ros.tools.shapes.edges import MeshEdges
from endosfm3d_ros.tools.shapes.mesh import decimated, outward, without_debris

BOX = trimesh.creation.box((0.01, 0.02, 0.03))


@pytest.mark.parametrize("suffix", ["stl", "obj", "ply", "dae"])
def test_every_kind_of_file_gives_the_same_model(tmp_path, suffix):
    path = tmp_path / f"tool.{suffix}"
    BOX.export(path)
    model = model_source("mesh", str(path)).model(None)
    assert len(model.vertices) == 8 and len(model.faces) == 12
    assert model.metric
    assert model.extent == pytest.approx(np.linalg.norm((0.01, 0.02, 0.03)), rel=1e-5)


def test_colours_are_kept_through_decimation(tmp_path):
    ball = trimesh.creation.icosphere(6, 0.01)
    ball.visual.vertex_colors = (10, 200, 30, 255)
    ball.export(tmp_path / "ball.ply")
    model = MeshSource(tmp_path / "ball.ply").model(None)
    assert len(model.faces) <= 20_000 < len(ball.faces)
    np.testing.assert_array_equal(model.colors[0], (10, 200, 30))


def written(path, mesh=None, content=None):
    mesh.export(path) if mesh is not None else path.write_bytes(content)
    return path


def scaled(factor):
    mesh = BOX.copy()
    mesh.apply_scale(factor)
    return mesh


def test_unusable_files_are_named(tmp_path):
    infinite = trimesh.Trimesh(BOX.vertices * [np.nan, 1, 1], BOX.faces, process=False)
    flat = trimesh.Trimesh(np.zeros((3, 3)), [[0, 1, 2]], process=False)
    for name, mesh, content, sentence in (
        ("millimetres.stl", scaled(1000), None, "is it in metres"),
        ("dust.stl", scaled(1e-4), None, "is it in metres"),
        ("nan.ply", infinite, None, "not finite"),
        ("flat.ply", flat, None, "without area"),
        ("garbage.obj", None, b"\0\1\2", "triangles|cannot be read"),
        ("garbage.ply", None, b"no mesh", "cannot be read"),
        ("points.obj", None, b"v 0 0 0\nv 1 0 0\n", "no triangles|cannot be read"),
    ):
        with pytest.raises(InputError, match=sentence):
            MeshSource(written(tmp_path / name, mesh, content))
    with pytest.raises(ConfigurationError, match=r"\.stl, \.obj"):
        MeshSource(tmp_path / "tool.step")
    with pytest.raises(ConfigurationError, match="does not exist"):
        MeshSource(tmp_path / "absent.stl")


def test_an_unknown_source_names_those_that_exist():
    with pytest.raises(ConfigurationError, match="lrm, mesh, capsule"):
        model_source("cad")


def test_debris_goes_and_jaws_stay():
    parts = [trimesh.creation.icosphere(3, r) for r in (1.0, 0.5, 0.05)]
    for i, part in enumerate(parts):
        part.apply_translation((3 * i, 0, 0))
    mesh = trimesh.util.concatenate(parts)
    vertices, faces = without_debris(mesh.vertices, mesh.faces, 0.02)
    assert len(faces) == 2 * len(parts[0].faces)
    assert vertices[:, 0].max() < 4
    _, largest = without_debris(mesh.vertices, mesh.faces, 1.0)
    assert len(largest) == len(parts[0].faces)


def test_decimation_keeps_the_shape_and_small_meshes_whole():
    ball = trimesh.creation.icosphere(5, 1.0)
    vertices, faces = decimated(ball.vertices, ball.faces, 1000)
    assert len(faces) <= 1100
    np.testing.assert_allclose(np.linalg.norm(vertices, axis=1), 1, atol=0.02)
    assert len(decimated(BOX.vertices, BOX.faces, 1000)[1]) == 12


def test_faces_are_turned_outwards():
    inside_out = BOX.faces[:, ::-1]
    np.testing.assert_array_equal(outward(BOX.vertices, inside_out), BOX.faces)
    np.testing.assert_array_equal(outward(BOX.vertices, BOX.faces), BOX.faces)


@pytest.mark.slow  # 10 s and 2 GB
def test_a_scan_of_two_million_triangles_becomes_a_small_closed_model(tmp_path):
    turn = np.arange(1000) * (2 * np.pi / 1000)
    u, v = np.meshgrid(turn, turn, indexing="ij")
    reach, height = 0.05 + 0.004 * np.cos(v), 0.004 * np.sin(v)
    ring = np.stack([reach * np.cos(u), reach * np.sin(u), height], axis=-1).reshape(-1, 3)
    a = np.arange(len(ring)).reshape(1000, 1000)
    b, d = np.roll(a, -1, axis=0), np.roll(a, -1, axis=1)
    c = np.roll(b, -1, axis=1)
    faces = np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3)
    assert len(faces) == 2_000_000
    trimesh.Trimesh(ring, faces, process=False).export(tmp_path / "ring.stl")
    model = MeshSource(tmp_path / "ring.stl").model(None)
    assert len(model.faces) <= 20_000
    assert MeshEdges.of(model.faces).closed
    np.testing.assert_allclose(np.ptp(model.vertices, axis=0), (0.108, 0.108, 0.008), atol=1e-4)
