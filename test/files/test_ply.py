"""PLY as tables: what is written reads back, and what others write is read or refused."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
import trimesh

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.files.ply import read_ply, write_ply

VERTICES = np.array(
    [(0.0, 0.5, 1.0, 7), (1.0, 0.0, 2.0, 8), (0.0, 1.0, 3.0, 255)],
    [("x", "f4"), ("y", "f4"), ("z", "f4"), ("label", "u1")],
)
FACES = np.zeros(1, [("vertex_indices", "i4", (3,))])
FACES["vertex_indices"] = [0, 1, 2]


def test_tables_and_lists_read_back(tmp_path):
    write_ply(tmp_path / "a.ply", {"vertex": VERTICES, "face": FACES}, ["metres"])
    found = read_ply(tmp_path / "a.ply")
    np.testing.assert_array_equal(found["vertex"], VERTICES)
    np.testing.assert_array_equal(found["face"]["vertex_indices"], [[0, 1, 2]])


def test_other_programs_read_what_is_written(tmp_path):
    write_ply(tmp_path / "a.ply", {"vertex": VERTICES, "face": FACES})
    mesh = trimesh.load(tmp_path / "a.ply", process=False)
    np.testing.assert_allclose(mesh.vertices[:, 2], (1, 2, 3))
    np.testing.assert_array_equal(mesh.faces, [[0, 1, 2]])


def test_empty_tables_read_back(tmp_path):
    write_ply(tmp_path / "a.ply", {"vertex": VERTICES[:0], "face": FACES[:0]})
    assert [len(rows) for rows in read_ply(tmp_path / "a.ply").values()] == [0, 0]


def test_text_and_big_endian_are_read(tmp_path):
    head = "ply\nformat {}\nelement vertex 2\nproperty double x\nproperty uchar y\nend_header\n"
    (tmp_path / "a.ply").write_text(head.format("ascii 1.0") + "0.5 3\n1.5 4\n")
    rows = np.array([(0.5, 3), (1.5, 4)], [("x", ">f8"), ("y", "u1")])
    content = head.format("binary_big_endian 1.0").encode() + rows.tobytes()
    (tmp_path / "b.ply").write_bytes(content)
    for name in "ab":
        vertices = read_ply(tmp_path / f"{name}.ply")["vertex"]
        np.testing.assert_array_equal(vertices["x"], (0.5, 1.5))
        np.testing.assert_array_equal(vertices["y"], (3, 4))


def test_damage_is_one_sentence(tmp_path):
    write_ply(tmp_path / "a.ply", {"vertex": VERTICES, "face": FACES})
    whole = (tmp_path / "a.ply").read_bytes()
    for k, content in enumerate((b"", b"no", whole[:20], whole[:90], whole[:-4], b"ply\n" * 99)):
        path = tmp_path / f"{k}.ply"
        path.write_bytes(content)
        with pytest.raises(InputError, match="PLY file"):
            read_ply(path)
    with pytest.raises(InputError, match="nowhere"):
        read_ply(tmp_path / "nowhere.ply")


def test_lists_that_differ_in_length_are_refused(tmp_path):
    head = "ply\nformat binary_little_endian 1.0\nelement face 2\n"
    head += "property list uchar uchar vertex_indices\nend_header\n"
    (tmp_path / "a.ply").write_bytes(head.encode() + bytes([3, 0, 1, 2, 4, 0, 1, 2, 3]))
    with pytest.raises(InputError, match=r"differ in length|too few"):
        read_ply(tmp_path / "a.ply")


@pytest.mark.parametrize("seed", range(40))
def test_arbitrary_changes_raise_nothing_else(tmp_path, seed):
    write_ply(tmp_path / "a.ply", {"vertex": VERTICES, "face": FACES})
    content = bytearray((tmp_path / "a.ply").read_bytes())
    random = np.random.default_rng(seed)
    for at in random.integers(len(content), size=3):
        content[at] = random.integers(256)
    (tmp_path / "b.ply").write_bytes(content)
    with suppress(InputError):
        read_ply(tmp_path / "b.ply")
