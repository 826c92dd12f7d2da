"""Bags as recorders leave them: split, packed, cut, flipped, without lists, of other versions."""

import gc
import os
import shutil
import sqlite3
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import zstandard
from lz4 import frame as lz4
from rosbags.rosbag2 import CompressionMode, StoragePlugin

from endosfm3d_ros.datasets.bags import layout as bag_layout
from endosfm3d_ros.datasets.bags.file import BagFile
from endosfm3d_ros.datasets.bags.mcap_seal import seal
from endosfm3d_ros.datasets.bags.sequence import BagSequence
from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.errors import InputError

MS = 1_000_000
LEFT = "/rig/left/image_raw"


def said(sequence, text):
    return any(text in str(entry) for entry in sequence.report.entries)


def lefts(maker, pictures, count, first=0):
    for i in range(first, first + count):
        maker.image(LEFT, (10 + i) * 100 * MS, pictures[i % 12])
    return maker


def assert_lefts(sequence, pictures):
    for frame in sequence:
        np.testing.assert_array_equal(frame.image, pictures[frame.stamp // (100 * MS) - 10])


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_a_folder_needs_no_metadata(stereo_bag, pictures, tmp_path, storage):
    bag = stereo_bag.write(tmp_path / "bag", storage)
    (bag / "metadata.yaml").unlink()
    sequence = open_sequence(bag)
    assert len(sequence) == 6 and sequence.stereo is not None
    assert_lefts(sequence, pictures)


def test_a_reindexed_bag_is_read_by_what_its_files_hold(stereo_bag, tmp_path):
    """`ros2 bag reindex` leaves storage_identifier empty."""
    bag = stereo_bag.write(tmp_path / "bag")
    listed = bag / "metadata.yaml"
    listed.write_text(
        listed.read_text().replace("storage_identifier: mcap", "storage_identifier: ''")
    )
    assert len(open_sequence(bag)) == 6


@pytest.mark.parametrize("text", ["", "[]", "a: b: c", "rosbag2_bagfile_information: 3", "\x00"])
def test_a_list_that_makes_no_sense_is_said_and_not_needed(stereo_bag, tmp_path, text):
    bag = stereo_bag.write(tmp_path / "bag")
    (bag / "metadata.yaml").write_text(text)
    sequence = open_sequence(bag)
    assert len(sequence) == 6 and said(sequence, "metadata.yaml cannot be read")


def split_bag(maker_class, pictures, folder):
    """Parts 0, 1, 2 and 10 of a split recording, three images each; the list of the last one."""
    folder.mkdir()
    for at, number in enumerate((0, 1, 2, 10)):
        part = lefts(maker_class(), pictures, 3, 3 * at).write(folder.parent / f"part{number}")
        shutil.copy(part / f"part{number}.mcap", folder / f"bag_{number}.mcap")
    return folder


def test_a_split_bag_is_read_in_the_order_of_its_numbers(maker, pictures, tmp_path):
    bag = split_bag(type(maker), pictures, tmp_path / "bag")
    sequence = open_sequence(bag)
    assert [frame.stamp for frame in sequence] == [(10 + i) * 100 * MS for i in range(12)]
    assert_lefts(sequence, pictures)


def test_a_missing_part_is_said(maker, pictures, tmp_path):
    bag = split_bag(type(maker), pictures, tmp_path / "bag")
    files = "".join(f"  - bag_{number}.mcap\n" for number in (0, 1, 2, 10))
    text = f"rosbag2_bagfile_information:\n  version: 9\n  relative_file_paths:\n{files}"
    (bag / "metadata.yaml").write_text(text)
    (bag / "bag_1.mcap").unlink()
    sequence = open_sequence(bag)
    assert len(sequence) == 9 and said(
        sequence, "bag_1.mcap is listed in metadata.yaml but missing"
    )


def test_what_a_killed_recorder_had_not_merged_is_read(maker, pictures, tmp_path):
    """sqlite3 keeps new rows in a log beside the file until it is closed."""
    bag = lefts(maker, pictures, 2).write(tmp_path / "bag", StoragePlugin.SQLITE3)
    more = lefts(type(maker)(), pictures, 4).write(tmp_path / "more", StoragePlugin.SQLITE3)
    rows = sqlite3.connect(more / "more.db3").execute("SELECT timestamp, data FROM messages")
    base = sqlite3.connect(bag / "bag.db3")
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("PRAGMA wal_autocheckpoint = 0")
    query = "INSERT INTO messages (topic_id, timestamp, data) VALUES (1, ?, ?)"
    base.executemany(query, list(rows)[2:])
    base.commit()
    killed = tmp_path / "killed"
    shutil.copytree(bag, killed)
    base.close()
    (killed / "metadata.yaml").unlink()
    sequence = open_sequence(killed)
    assert len(sequence) == 4
    assert_lefts(sequence, pictures)


def test_odd_names_of_folders(maker, pictures, tmp_path):
    for storage in StoragePlugin:
        plain = lefts(type(maker)(), pictures, 2).write(tmp_path / storage.name, storage)
        odd = plain.rename(tmp_path / f"a?b#c%20[d] {storage.name}")
        assert len(open_sequence(odd)) == 2


# --- work ------------------------------------------------------------------------------------


def labelled(maker, count):
    """Small images with a mask each; chunks of 1 MB hold a few dozen of them."""
    picture = np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)
    for i in range(count):
        maker.image(LEFT, i * 33 * MS, picture)
        maker.image("/rig/left/tool_mask", i * 33 * MS, np.full((60, 80), i % 2, np.uint8), "mono8")
    return maker


@pytest.mark.parametrize(
    ("storage", "mode"),
    [
        (StoragePlugin.MCAP, CompressionMode.FILE),
        (StoragePlugin.MCAP, CompressionMode.STORAGE),
        (StoragePlugin.SQLITE3, CompressionMode.FILE),
    ],
)
def test_the_work_for_a_frame_does_not_grow_with_the_bag(maker, tmp_path, storage, mode):
    """Chunks and rows that are read, per frame, at 100 and 2,000 frames."""
    work, steps = {}, {}
    for count in (100, 2000):
        made = labelled(type(maker)(), count)
        sequence = BagSequence(made.write(tmp_path / f"bag{count}", storage, mode))
        assert len(sequence) == count
        before = sequence.bag.unpacked
        for i, _ in enumerate(sequence):
            assert sequence.mask(i)[0, 0] == bool(i % 2)
        work[count] = (sequence.bag.unpacked - before) / count
        before = sequence.bag.unpacked
        for i in (7, 90, 50, 3):  # in no order
            sequence.mask(i)
        steps[count] = sequence.bag.unpacked - before
    assert work[2000] <= max(1.3 * work[100], 0.05)  # all of the short bag fits the cache
    assert steps[100] <= 4 and steps[2000] <= 4


def test_a_packed_file_is_unpacked_once(maker, tmp_path, monkeypatch):
    bag = labelled(maker, 20).write(tmp_path / "bag", StoragePlugin.MCAP, CompressionMode.FILE)
    calls, unpack = [], bag_layout._unpack

    def counting(file, folder):
        calls.append(file)
        return unpack(file, folder)

    monkeypatch.setattr(bag_layout, "_unpack", counting)
    sequence = BagSequence(bag)
    for i, _ in enumerate(sequence):
        sequence.mask(i)
    assert len(calls) == 1


# --- damage ----------------------------------------------------------------------------------


def test_a_flipped_bit_is_never_a_wrong_picture(maker, pictures, tmp_path):
    """In a file with checksums every flip is noticed, or changes nothing that is read."""
    bag = lefts(maker, pictures, 12).write(tmp_path / "bag")
    file = bag / "bag.mcap"
    assert seal(file) == 1 and seal(file) == 0
    assert BagFile(bag).checked and not said(open_sequence(bag), "without checksums")
    whole, rng, noticed = file.read_bytes(), np.random.default_rng(4), 0
    for at in rng.integers(0, len(whole), 60):
        flipped = bytearray(whole)
        flipped[at] ^= 1 << int(rng.integers(8))
        file.write_bytes(flipped)
        try:
            sequence = open_sequence(bag)
        except InputError:
            noticed += 1
            continue
        noticed += said(sequence, "damaged") or said(sequence, "messages are there")
        assert_lefts(sequence, pictures)
    assert noticed > 40


def test_behind_a_damaged_chunk_reading_goes_on(maker, tmp_path):
    picture = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    for i in range(16):
        maker.image(LEFT, i * 40 * MS, picture)
    bag = maker.write(tmp_path / "bag")
    seal(bag / "bag.mcap")
    whole = bytearray((bag / "bag.mcap").read_bytes())
    whole[100_000] ^= 1  # in the first chunk, which declares the topic
    (bag / "bag.mcap").write_bytes(whole)
    sequence = open_sequence(bag)
    assert 8 <= len(sequence) < 16 and said(sequence, "1 chunks of bag.mcap are damaged")
    assert all((frame.image == picture).all() for frame in sequence)


def test_a_bag_without_checksums_says_so(stereo_bag, tmp_path):
    sequence = open_sequence(stereo_bag.write(tmp_path / "bag"))
    assert said(sequence, "stored without checksums")


def test_one_image_that_contradicts_its_size_is_left_out(maker, pictures, tmp_path):
    lefts(maker, pictures, 3)
    maker.image(LEFT, 1400 * MS, pictures[4], step=4000)
    lefts(maker, pictures, 2, 5)
    sequence = open_sequence(maker.write(tmp_path / "bag"))
    assert len(sequence) == 5 and said(sequence, "1 images contradict their own size")


def test_one_wild_stamp_takes_only_its_own_image(maker, pictures, tmp_path):
    for i in range(6):
        maker.image(LEFT, 10**18 if i == 2 else (10 + i) * 100 * MS, pictures[i])
    maker.rows = [(topic, content, i) for i, (topic, content, _) in enumerate(maker.rows)]
    sequence = open_sequence(maker.write(tmp_path / "bag"))
    assert [frame.stamp // (100 * MS) - 10 for frame in sequence] == [0, 1, 3, 4, 5]
    assert sequence.skipped == 1 and said(sequence, "1 left images")


def test_images_without_a_time_have_that_of_the_recording(maker, pictures, tmp_path):
    for i in range(4):
        maker.image(LEFT, 0, pictures[i])
    maker.rows = [
        (topic, content, (5 + i) * MS) for i, (topic, content, _) in enumerate(maker.rows)
    ]
    sequence = open_sequence(maker.write(tmp_path / "bag"))
    assert [frame.stamp for frame in sequence] == [5 * MS, 6 * MS, 7 * MS, 8 * MS]
    assert said(sequence, "headers carry no time")


# --- other formats ---------------------------------------------------------------------------


def test_a_ros_1_bag_says_how_to_convert_it(tmp_path):
    (tmp_path / "old").mkdir()
    for path in (tmp_path / "old" / "case.bag", tmp_path / "renamed.mcap"):
        path.write_bytes(b"#ROSBAG V2.0\n" + bytes(100))
    for source in (tmp_path / "old", tmp_path / "old" / "case.bag", tmp_path / "renamed.mcap"):
        with pytest.raises(InputError, match=r"is a ROS 1 bag: .*rosbags-convert --src .* --dst"):
            open_sequence(source)


def test_loose_messages_of_an_mcap_file_are_read(maker, pictures, tmp_path):
    """Recorders without chunks write messages one by one."""
    bag = lefts(maker, pictures, 3).write(tmp_path / "bag")
    content = (bag / "bag.mcap").read_bytes()
    start = content.index(b"\x06", 8 + 9 + struct.unpack_from("<Q", content, 9)[0])
    size = struct.unpack_from("<Q", content, start + 9 + 16)[0]
    records = content[start + 9 + 40 : start + 9 + 40 + size]
    loose = tmp_path / "loose.mcap"
    loose.write_bytes(content[:start] + records + b"\x0f" + struct.pack("<QI", 4, 0))
    sequence = open_sequence(loose)
    assert len(sequence) == 3
    assert_lefts(sequence, pictures)


def test_several_recordings_in_one_folder_are_not_mixed(maker, pictures, tmp_path):
    folder = tmp_path / "all"
    folder.mkdir()
    for at, name in enumerate(("liver", "colon")):
        part = lefts(type(maker)(), pictures, 3, 3 * at).write(tmp_path / name)
        shutil.copy(part / f"{name}.mcap", folder / f"{name}_0.mcap")
    with pytest.raises(InputError, match=r"several recordings, colon_0.mcap, liver_0.mcap: name"):
        open_sequence(folder)
    assert open_sequence(folder / "liver_0.mcap").fps == 10
    text = "rosbag2_bagfile_information:\n  relative_file_paths: [liver_0.mcap]\n"
    (folder / "metadata.yaml").write_text(text)
    sequence = open_sequence(folder)
    assert len(sequence) == 3 and said(sequence, "colon_0.mcap is not of the recording")
    assert next(iter(sequence)).stamp == 1000 * MS


def test_messages_of_another_serialization_are_named(stereo_bag, tmp_path):
    """MCAP also holds ROS 1, Protobuf and JSON."""
    bag = stereo_bag.write(tmp_path / "bag")
    content = (bag / "bag.mcap").read_bytes()
    (bag / "bag.mcap").write_bytes(content.replace(b"\x03\x00\x00\x00cdr", b"\x03\x00\x00\x00rs1"))
    with pytest.raises(InputError, match=r"serialized as rs1, those of ROS 2 \(cdr\) are accepted"):
        open_sequence(bag)


@pytest.mark.parametrize("codec", ["lz4", "zstd"])
def test_packed_chunks_are_unpacked_and_checked(maker, pictures, tmp_path, codec):
    bag = lefts(maker, pictures, 3).write(tmp_path / "bag")
    content = (bag / "bag.mcap").read_bytes()
    start = content.index(b"\x06", 8 + 9 + struct.unpack_from("<Q", content, 9)[0])
    first, last, size = struct.unpack_from("<QQQ", content, start + 9)
    records = content[start + 9 + 40 : start + 9 + 40 + size]
    packed = lz4.compress(records) if codec == "lz4" else zstandard.compress(records)
    for crc, count in ((zlib.crc32(records), 3), (zlib.crc32(records) ^ 1, 0)):
        chunk = struct.pack("<QQQII", first, last, size, crc, len(codec)) + codec.encode()
        chunk += struct.pack("<Q", len(packed)) + packed
        file = tmp_path / f"{codec}{count}.mcap"
        tail = b"\x0f" + struct.pack("<QI", 4, 0)
        file.write_bytes(content[:start] + b"\x06" + struct.pack("<Q", len(chunk)) + chunk + tail)
        if count:
            assert_lefts(open_sequence(file), pictures)
            continue
        with pytest.raises(InputError, match=r"1 chunks of .* are damaged"):
            open_sequence(file)


@pytest.mark.parametrize("storage", list(StoragePlugin))
def test_frames_and_references_are_read_from_two_threads(maker, tmp_path, storage):
    sequence = BagSequence(labelled(maker, 60).write(tmp_path / "bag", storage))
    with ThreadPoolExecutor(2) as pool:
        frames = pool.submit(lambda: [frame.image.sum() for frame in sequence])
        masks = pool.submit(lambda: [int(sequence.mask(i)[0, 0]) for i in range(60)])
        assert len(set(frames.result())) == 1
        assert masks.result() == [0, 1] * 30


def test_a_bag_that_is_let_go_leaves_nothing_open(maker, tmp_path):
    bag = labelled(maker, 4).write(tmp_path / "bag", StoragePlugin.MCAP, CompressionMode.FILE)
    gc.collect()
    before = set(os.listdir("/proc/self/fd"))
    sequence = BagSequence(bag)
    scratch = Path(sequence.bag._scratch.name)
    assert any(scratch.iterdir())
    del sequence
    gc.collect()
    assert not scratch.exists() and set(os.listdir("/proc/self/fd")) <= before
