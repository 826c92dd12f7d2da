"""Mesh files and networks of others: bounded, refused with a sentence, and never run unasked."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import torch
import trimesh
from onnx import TensorProto, helper

from endosfm3d_ros.engines.onnx_file import fixed_onnx
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.tools.models import mesh_file
from endosfm3d_ros.tools.models.mesh_file import read_model
from endosfm3d_ros.tools.segmentation.card import find_model
from endosfm3d_ros.tools.shapes.mesh import separate_parts

TETRAHEDRON = "v 0 0 0\nv .01 0 0\nv 0 .01 0\nv 0 0 .01\nf 1 2 3\nf 1 2 4\nf 1 3 4\nf 2 3 {last}\n"
PLY = """ply
format ascii 1.0
element vertex 3
property float x
property float y
property float z
element face 1
property list uchar int vertex_indices
end_header
0 0 0
.01 0 0
0 .01 0
3 0 1 {last}
"""


@pytest.mark.parametrize("name,text", [("a.obj", TETRAHEDRON), ("a.ply", PLY)], ids=["obj", "ply"])
@pytest.mark.parametrize("last", [99, -7, 2**31 - 1])
def test_an_index_beyond_the_vertices_is_a_sentence(tmp_path, name, text, last):
    """Row: an index beyond the vertices was an IndexError."""
    path = tmp_path / name
    path.write_text(text.format(last=last))
    with pytest.raises(InputError, match="tool mesh"):
        read_model(path)


def test_a_soup_of_triangles_is_refused(tmp_path):
    """Row: two million triangles took over 60 s."""
    rng = np.random.default_rng(0)
    corners = rng.random((150_000, 3), np.float32) * 0.05
    faces = np.arange(150_000).reshape(-1, 3)
    trimesh.Trimesh(corners, faces, process=False).export(tmp_path / "soup.stl")
    with pytest.raises(InputError, match="unconnected parts"):
        read_model(tmp_path / "soup.stl")


def test_too_many_triangles_are_refused_with_their_number(tmp_path, monkeypatch):
    monkeypatch.setattr(mesh_file, "MAX_TRIANGLES", 1000)
    trimesh.creation.icosphere(4, 0.01).export(tmp_path / "ball.stl")
    with pytest.raises(InputError, match="5120 triangles, 1000 are accepted"):
        read_model(tmp_path / "ball.stl")


def test_parts_are_found_whatever_the_order_of_their_faces():
    balls = [trimesh.creation.icosphere(1, r) for r in (1.0, 2.0, 3.0)]
    mesh = trimesh.util.concatenate(balls)
    faces = mesh.faces[np.random.default_rng(0).permutation(len(mesh.faces))]
    sizes = {(len(v), len(f)) for v, f in separate_parts(mesh.vertices, faces)}
    assert sizes == {(42, 80)}
    assert len(separate_parts(mesh.vertices, faces)) == 3


def test_bytes_without_sense_never_name_a_missing_package(tmp_path):
    """Row: reasons that named a missing module."""
    rng = np.random.default_rng(0)
    heads = (b"", b"solid x\n", b"ply\nformat ascii 1.0\n", b"<?xml version='1.0'?><COLLADA>",
             b"mtllib a.mtl\nv 0 0 0\n", b"PK\x03\x04", b"\x1f\x8b")  # fmt: skip
    for suffix in mesh_file.SUFFIXES:
        for head in heads:
            path = tmp_path / f"a{suffix}"
            path.write_bytes(head + rng.bytes(200))
            with pytest.raises(InputError) as raised:
                read_model(path)
            assert "No module" not in str(raised.value) and "install" not in str(raised.value)


def card(folder, **entries):
    (folder / "tools.json").write_text(json.dumps(entries))
    return str(folder)


def test_a_torchscript_program_needs_an_explicit_word(tmp_path):
    """Row: a TorchScript tool model can write files."""
    example = torch.zeros(1, 3, 64, 64)
    torch.jit.trace(torch.nn.Identity(), example).save(str(tmp_path / "model.ts"))
    with pytest.raises(ConfigurationError, match="is a TorchScript program"):
        find_model(card(tmp_path, model="model.ts"))
    model, _ = find_model(card(tmp_path, model="model.ts", runs_code=True))
    assert model == tmp_path / "model.ts"


def test_a_model_outside_the_folder_of_its_card_is_refused(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "model.onnx").write_bytes(b"")
    for name in ("../model.onnx", str(tmp_path / "model.onnx")):
        with pytest.raises(ConfigurationError, match="beside the card"):
            find_model(card(tmp_path / "inner", model=name))


def test_onnx_weights_in_other_files_are_refused(tmp_path):
    """Kind: a model that names files of its author's choice."""
    weights = helper.make_tensor("w", TensorProto.FLOAT, (1,), [2.0])
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 3, 8, 8))],
        [weights],
    )
    model = helper.make_model(graph)
    path = tmp_path / "whole.onnx"
    onnx.save(model, path)
    assert fixed_onnx(path, "image", (1, 3, 8, 8), "scores")
    outside = model.graph.initializer[0]
    outside.ClearField("float_data")
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="../../etc/hostname")
    (tmp_path / "split.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ConfigurationError, match="in another file"):
        fixed_onnx(tmp_path / "split.onnx", "image", (1, 3, 8, 8), "scores")
