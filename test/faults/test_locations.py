"""Kind of the row `~nobody/x.npz`: a home that cannot be found ends nothing."""

from __future__ import annotations

import pytest

from endosfm3d_ros.files import locations


@pytest.mark.parametrize("name", ["ENDOSFM3D_CACHE", "ROS_HOME", "ROS_LOG_DIR"])
def test_an_unknown_home_in_a_variable_is_a_name_like_any_other(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, "~nobody_at_all/x")
    for folder in (locations.cache_folder, locations.mesh_folder, locations.log_folder):
        assert folder().name
    assert locations.map_folder("~nobody_at_all/maps").name == "maps"
