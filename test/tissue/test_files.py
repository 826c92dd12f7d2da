"""Maps on disk: nothing lost, nothing damaged accepted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.files.ply import read_ply
from endosfm3d_ros.tissue.map import TissueMap
from endosfm3d_ros.tissue.map_file import KEPT, load_map, save_map
from endosfm3d_ros.tissue.store.splat_file import read_splats, write_splats


@pytest.fixture
def grown(tissue, sheets, feeding):
    sheet = sheets(drag=0.003)
    for i in range(6):
        feeding(tissue, sheet, i)
    return tissue


def test_a_saved_map_is_the_same_and_goes_on_the_same(grown, sheets, feeding, config, tmp_path):
    path = tmp_path / "map.npz"
    save_map(path, grown)
    loaded = load_map(path, config)
    alive = grown.store.alive
    for name in KEPT:
        np.testing.assert_array_equal(loaded.store.view(name), grown.store.view(name)[alive])
    for name, value in grown.graph.state().items():
        np.testing.assert_array_equal(loaded.graph.state()[name], value)
    for name, value in grown.state().items():
        np.testing.assert_array_equal(loaded.state()[name], value)
    sheet = sheets(drag=0.003)
    views = [feeding(tissue, sheet, 6) for tissue in (grown, loaded)]
    assert np.abs(views[0].image.astype(int) - views[1].image).mean() < 1
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_foreign_and_oversized_files_are_refused(grown, config, tmp_path):
    path = tmp_path / "map.npz"
    save_map(path, grown)
    with pytest.raises(InputError, match="capacity, 50"):
        load_map(path, replace(config, capacity=50))
    arrays = dict(np.load(path))
    arrays["gaussian_means"][0, 0] += 1e-3
    np.savez(tmp_path / "changed.npz", **arrays)
    with pytest.raises(InputError, match="checksum"):
        load_map(tmp_path / "changed.npz", config)
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(InputError, match="version 2"):
        load_map(tmp_path / "other.npz", config)
    (tmp_path / "cut.npz").write_bytes(path.read_bytes()[:1000])
    for name in ("cut.npz", "missing.npz"):
        with pytest.raises(InputError, match="not a tissue map"):
            load_map(tmp_path / name, config)


def test_an_empty_map_and_a_missing_folder_are_refused(grown, config, tmp_path):
    with pytest.raises(InputError, match="first frame"):
        save_map(tmp_path / "a.npz", TissueMap(config))
    with pytest.raises(ConfigurationError, match="cannot be written"):
        save_map(tmp_path / "none" / "a.npz", grown)


def test_splat_files_follow_the_published_layout(grown, tmp_path):
    path = tmp_path / "map.ply"
    write_splats(path, grown.store, "metre")
    vertices = read_ply(path)["vertex"]
    assert list(vertices.dtype.names) == [
        *("x", "y", "z", "nx", "ny", "nz", "f_dc_0", "f_dc_1", "f_dc_2", "opacity"),
        *("scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3"),
    ]
    alive = grown.store.alive
    color = grown.store.view("colors")[alive]
    np.testing.assert_allclose(vertices["f_dc_1"] * 0.2820948 + 0.5, color[:, 1], atol=1e-5)
    back = read_splats(path)
    for name, values in back.items():
        np.testing.assert_allclose(values, grown.store.view(name)[alive], rtol=1e-4, atol=1e-6)


def test_other_ply_files_are_refused(tmp_path):
    path = tmp_path / "x.ply"
    path.write_text("ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n1\n")
    with pytest.raises(InputError, match="not a PLY file of Gaussian splats"):
        read_splats(path)
    path.write_text("no ply at all")
    with pytest.raises(InputError, match="not a PLY file"):
        read_splats(path)
