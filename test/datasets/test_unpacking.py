"""Packed recordings that would fill memory or disk."""

from __future__ import annotations

import struct
import tracemalloc

import numpy as np
import pytest
import zstandard
from lz4 import frame as lz4

from endosfm3d_ros.datasets.bags import unpacking
from endosfm3d_ros.datasets.bags.unpacking import unpack_file, unpacked_block
from endosfm3d_ros.errors import InputError

PLAIN = np.random.default_rng(0).integers(0, 9, 100_000).astype(np.uint8).tobytes()


@pytest.mark.parametrize(("codec", "pack"), [("zstd", zstandard.compress), ("lz4", lz4.compress)])
def test_a_piece_comes_out_as_it_was(codec, pack):
    assert unpacked_block(codec, pack(PLAIN), len(PLAIN)) == PLAIN


@pytest.mark.parametrize(("codec", "pack"), [("zstd", zstandard.compress), ("lz4", lz4.compress)])
def test_more_than_was_stated_is_refused_before_it_takes_memory(codec, pack):
    bomb = pack(bytes(300 << 20))
    assert len(bomb) < 3 << 20
    tracemalloc.start()
    with pytest.raises(InputError, match=r"accepted|more than"):
        unpacked_block(codec, bomb, 1 << 20)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 50 << 20
    with pytest.raises(InputError, match="accepted"):
        unpacked_block(codec, pack(b"small"), 1 << 40)


def test_a_frame_that_states_terabytes_is_refused():
    bomb = bytearray(zstandard.compress(PLAIN))
    bomb[4] = 0xE0  # a content size of eight bytes, one segment
    bomb[5:13] = struct.pack("<Q", 1 << 42)
    with pytest.raises(InputError):
        unpacked_block("zstd", bytes(bomb))


def test_a_file_is_unpacked_as_far_as_it_may(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "SMALL", 4 << 20)
    packed, target = tmp_path / "bag.mcap.zstd", tmp_path / "bag.mcap"
    packed.write_bytes(zstandard.compress(bytes(64 << 20)))
    assert "more than" in unpack_file(packed, target)
    assert target.stat().st_size <= 5 << 20
    packed.write_bytes(zstandard.compress(PLAIN) + zstandard.compress(PLAIN))
    assert unpack_file(packed, target) == ""
    assert target.read_bytes() == PLAIN + PLAIN


def test_a_file_never_takes_the_rest_of_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(unpacking, "SPARE", 1 << 60)
    packed, target = tmp_path / "bag.mcap.zstd", tmp_path / "bag.mcap"
    packed.write_bytes(zstandard.compress(PLAIN))
    assert "more than" in unpack_file(packed, target)
    assert target.stat().st_size == 0
