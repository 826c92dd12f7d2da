"""Every fault of the engine folder ends in a rebuilt, correct engine and one clear line."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.engines import obtain_engine
from endosfm3d_ros.engines.backends import openvino
from endosfm3d_ros.engines.cache import EngineCache
from endosfm3d_ros.engines.entry import read_card
from endosfm3d_ros.errors import ConfigurationError


@pytest.fixture
def stored(make_recipe, settings):
    """The only engine file after one build."""
    obtain_engine(make_recipe(), settings)
    (path,) = settings.cache_dir.glob("*.engine")
    return path


def warnings_of(caplog):
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def obtained(make_recipe, settings, loader):
    """The engine, and whether the network had to be loaded for it."""
    engine = obtain_engine(make_recipe(load=loader), settings)
    answer = engine.run({"image": np.ones((1, 3, 24, 40), np.float32)})["map"]
    expected = loader()(_ones())[0].detach().numpy()
    np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-6)
    return engine, loader.calls - 1


def _ones():
    import torch

    return torch.ones(1, 3, 24, 40)


def test_second_start_loads_nothing(make_recipe, settings, stored, loader):
    engine, loads = obtained(make_recipe, settings, loader)
    assert engine.info.cached
    assert loads == 0
    assert max(engine.info.errors.values()) < 1e-5


def cut(data):
    return data[: len(data) // 2]


def flip(position):
    def change(data):
        index = int(position * (len(data) - 1))
        return data[:index] + bytes([data[index] ^ 0x10]) + data[index + 1 :]

    return change


DAMAGES = {
    "empty": lambda data: b"",
    "truncated": cut,
    "last byte missing": lambda data: data[:-1],
    "longer": lambda data: data + b"\0" * 16,
    "text": lambda data: b"not an engine",
    **{f"bit flipped at {p:.0%}": flip(p) for p in (0.0, 0.001, 0.02, 0.05, 0.2, 0.5, 0.9, 1.0)},
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damaged_file_is_rebuilt(make_recipe, settings, stored, loader, caplog, damage):
    stored.write_bytes(damage(stored.read_bytes()))
    engine, loads = obtained(make_recipe, settings, loader)
    assert not engine.info.cached
    assert loads == 1
    (message,) = warnings_of(caplog)
    assert str(stored) in message
    assert "is rebuilt" in message
    assert obtain_engine(make_recipe(load=loader), settings).info.cached


def test_engine_of_another_key_is_rebuilt(make_recipe, settings, stored, loader, caplog):
    other = make_recipe(fingerprint="weights-2", load=loader)
    obtain_engine(other, settings)
    (second,) = set(settings.cache_dir.glob("*.engine")) - {stored}
    shutil.copy(second, stored)  # somebody else's file under our name
    engine, loads = obtained(make_recipe, settings, loader)
    assert not engine.info.cached
    assert loads >= 1
    assert "another network, version or machine" in warnings_of(caplog)[0]


@pytest.mark.parametrize("change", ["version", "device"], ids=["other OpenVINO", "other processor"])
def test_engine_of_another_version_or_machine_is_not_taken(
    make_recipe, settings, stored, loader, monkeypatch, change
):
    monkeypatch.setattr(openvino.OpenVinoBackEnd, change, lambda self: "something else")
    engine, loads = obtained(make_recipe, settings, loader)
    assert not engine.info.cached
    assert loads == 1


@pytest.mark.parametrize(
    "other",
    [
        {"fingerprint": "weights-2"},
        {"name": "other"},
        {"output_names": ("a", "b")},
    ],
)
def test_key_depends_on_the_network(make_recipe, settings, stored, other):
    assert not obtain_engine(make_recipe(**other), settings).info.cached


def test_key_depends_on_the_precision(make_recipe, settings, stored, loader):
    recipe = make_recipe(load=loader, tolerances={"f32": 1e-4, "bf16": 0.1})
    engine = obtain_engine(recipe, replace(settings, precision="bf16"))
    assert engine.info.precision == "f32" or not engine.info.cached  # processors without bf16


def test_blob_that_runs_but_answers_wrongly_is_rebuilt(
    make_recipe, settings, stored, loader, caplog, monkeypatch
):
    """A file that is whole, imports, and computes something else: seen on other processors."""
    original = openvino.OpenVinoEngine._execute
    wrong = iter([True])

    def execute(self, inputs):
        outputs = original(self, inputs)
        return {k: v * 1.01 for k, v in outputs.items()} if next(wrong, False) else outputs

    monkeypatch.setattr(openvino.OpenVinoEngine, "_execute", execute)
    engine, loads = obtained(make_recipe, settings, loader)
    assert not engine.info.cached
    assert loads == 1
    assert "differs from torch" in warnings_of(caplog)[0]


def test_folder_that_cannot_exist_costs_only_the_cache(make_recipe, settings, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    settings = replace(settings, cache_dir=tmp_path / "file" / "engines")
    engine = obtain_engine(make_recipe(), settings)
    assert engine.info.backend == "openvino"
    (message,) = warnings_of(caplog)
    assert "not kept" in message


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
def test_read_only_folder_still_serves_engines(make_recipe, settings, stored, loader):
    settings.cache_dir.chmod(0o555)
    try:
        assert obtained(make_recipe, settings, loader)[0].info.cached
        other = obtain_engine(make_recipe(fingerprint="weights-2"), settings)
        assert not other.info.cached
    finally:
        settings.cache_dir.chmod(0o755)


def test_read_only_folder_is_read_without_a_lock(
    make_recipe, settings, stored, loader, monkeypatch
):
    """The same for every user: neither locks nor time stamps can be written."""

    def refused(*_args, **_kwargs):
        raise PermissionError(errno.EACCES, "read-only")

    monkeypatch.setattr("endosfm3d_ros.engines.cache.FileLock.acquire", refused)
    monkeypatch.setattr("pathlib.Path.touch", refused)
    engine, loads = obtained(make_recipe, settings, loader)
    assert engine.info.cached
    assert loads == 0


def test_full_disk_leaves_no_part_behind(make_recipe, settings, caplog, monkeypatch):
    def full(_descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    engine = obtain_engine(make_recipe(), settings)
    assert engine.info.backend == "openvino"
    assert "No space left" in warnings_of(caplog)[0]
    assert [path.suffix for path in settings.cache_dir.iterdir()] == [".lock"]


def test_folder_stays_below_its_limit(make_recipe, settings, stored):
    engine_size = stored.stat().st_size
    cache = EngineCache(settings.cache_dir, limit_bytes=int(2.5 * engine_size))
    for age, name in ((300, "old"), (200, "older than none")):
        copy = stored.with_name(f"{name}.engine")
        shutil.copy(stored, copy)
        os.utime(copy, (copy.stat().st_atime - age, copy.stat().st_mtime - age))
    entry = cache.load(stored, read_card(stored).key)
    cache.store(stored, entry)
    left = {path.name for path in settings.cache_dir.glob("*.engine")}
    assert left == {stored.name, "older than none.engine"}


def test_listing_and_cleaning(make_recipe, settings, stored):
    cache = EngineCache(settings.cache_dir)
    (settings.cache_dir / "broken.engine").write_text("x")
    (settings.cache_dir / f".{stored.name}.123").write_text("left over")
    (settings.cache_dir / "tensorrt-10.16-sm89.timings").write_text("kernel timings")
    cards = dict(cache.entries())
    assert cards[stored].network == "small"
    assert cards[settings.cache_dir / "broken.engine"] is None
    size = stored.stat().st_size
    assert cache.clean() >= size
    assert list(settings.cache_dir.iterdir()) == []
    assert EngineCache(settings.cache_dir / "none").clean() == 0


def test_what_cannot_be_deleted_is_named(settings, stored, monkeypatch):
    def refused(_path):
        raise PermissionError(errno.EACCES, "read-only")

    monkeypatch.setattr("pathlib.Path.unlink", refused)
    with pytest.raises(ConfigurationError, match="cannot be deleted"):
        EngineCache(settings.cache_dir).clean()
