"""Map files of unknown origin: none ends the node, stops the pipeline or takes the memory."""

from __future__ import annotations

import io
import os
import resource
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.files.archives import ArchiveLimits, read_archive
from endosfm3d_ros.nodes.services.maps import load, path_within, save
from endosfm3d_ros.tissue import map_file
from endosfm3d_ros.tissue.config import TissueConfig
from endosfm3d_ros.tissue.deformation.graph import DeformationGraph
from endosfm3d_ros.tissue.map import TissueMap
from endosfm3d_ros.tissue.map_file import load_map, save_map
from endosfm3d_ros.tissue.store.gaussians import FIELDS

CONFIG = TissueConfig(capacity=200)


@pytest.fixture
def grown() -> TissueMap:
    """A map of 50 Gaussians on three nodes."""
    tissue, rng = TissueMap(CONFIG), np.random.default_rng(0)
    rows = {n: rng.random((50, *shape)).astype(kind) for n, (shape, kind) in FIELDS.items()}
    rows["opacities"][:] = 0.5
    rows["node_index"][:] = 2
    tissue.store.add(rows)
    tissue.graph = DeformationGraph(0.01, CONFIG.graph)
    tissue.graph.count = 3
    return tissue


class Idle:
    """A pipeline between two frames."""

    def __init__(self, tissue: TissueMap | None) -> None:
        self.tissue = tissue

    def __call__(self, work):
        return work(self)


def rezipped(path, **change) -> bytes:
    """The file with every member's method or flags replaced."""
    target = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            new.writestr(member.filename, old.read(member), **change)
    return target.getvalue()


def test_every_flipped_bit_is_a_sentence_or_harmless(grown, tmp_path):
    """Row: flipped files (3 of 260 uncaught)."""
    path = tmp_path / "map.npz"
    save_map(path, grown)
    whole = path.read_bytes()
    compressed = rezipped(path, compress_type=zipfile.ZIP_DEFLATED)
    rng, refused = np.random.default_rng(1), 0
    central = whole.rindex(b"PK\x01\x02")
    for content, places in (
        (whole, rng.integers(0, len(whole), 150)),
        (whole, rng.integers(central, len(whole), 150)),  # the directory: methods, flags, sizes
        (compressed, rng.integers(0, len(compressed), 300)),
    ):
        for place in places:
            flipped = bytearray(content)
            flipped[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(flipped)
            try:
                load_map(path, CONFIG)
            except InputError as error:
                assert "map" in str(error)
                refused += 1
    assert refused > 300


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_of_packing_are_refused(grown, tmp_path, method):
    """Row: map file of another zip method."""
    path = tmp_path / "map.npz"
    save_map(path, grown)
    path.write_bytes(rezipped(path, compress_type=method))
    with pytest.raises(InputError, match="packed by method"):
        load_map(path, CONFIG)


def test_an_encrypted_archive_is_refused(grown, tmp_path):
    """Row: map file that is encrypted."""
    path = tmp_path / "map.npz"
    save_map(path, grown)
    content = bytearray(path.read_bytes())
    at = content.index(b"PK\x01\x02")
    while at >= 0:
        content[at + 8] |= 1
        at = content.find(b"PK\x01\x02", at + 4)
    path.write_bytes(content)
    with pytest.raises(InputError, match="encrypted"):
        load_map(path, CONFIG)


def test_a_small_file_of_gigabytes_is_refused_before_it_is_unpacked(tmp_path):
    """Row: 14 MB that unpack to 3.4 GB."""
    path = tmp_path / "bomb.npz"
    shape = {"descr": "|u1", "fortran_order": False, "shape": (700 << 20,)}
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a.npy", "w", force_zip64=True) as stream,
    ):
        np.lib.format.write_array_header_1_0(stream, shape)
        for _ in range(70):
            stream.write(bytes(10 << 20))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(InputError, match="would unpack to 700"):
        read_archive(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10


def test_an_array_that_states_more_than_the_file_holds_is_refused(tmp_path):
    """Kind of the row above: sizes in the header of an array."""
    path, header = tmp_path / "liar.npz", io.BytesIO()
    fields = {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)}
    np.lib.format.write_array_header_1_0(header, fields)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", header.getvalue())
    with pytest.raises(InputError, match="states"):
        read_archive(path)
    with zipfile.ZipFile(path, "w") as archive:
        for i in range(300):
            archive.writestr(f"{i}.npy", b"")
    with pytest.raises(InputError, match="300 arrays"):
        read_archive(path, ArchiveLimits())


def test_a_foreign_archive_with_a_version_is_refused(tmp_path):
    """Row: KeyError of a foreign npz."""
    path = tmp_path / "foreign.npz"
    for arrays in ({"version": 2}, {"version": np.zeros(3)}, {"version": 2, "checksum": "a"}, {}):
        np.savez(path, **arrays)
        with pytest.raises(InputError, match="map"):
            load_map(path, CONFIG)
    np.savez(path, version=np.array([{}], dtype=object))
    with pytest.raises(InputError, match="Python objects"):
        load_map(path, CONFIG)


@pytest.mark.parametrize(
    "name,value",
    [
        ("gaussian_node_index", lambda a: a + 7),
        ("gaussian_means", lambda a: np.full_like(a, np.nan)),
        ("gaussian_scales", lambda a: a[:10]),
        ("gaussian_colors", lambda a: a.astype(str)),
        ("graph_positions", lambda a: a[:, :2]),
        ("map_T_map_camera", lambda a: a[:3]),
        ("map_scale", lambda a: np.array("cubits")),
        ("map_keyframe_poses", lambda a: None),
    ],
)
def test_a_checksum_proves_nothing_about_what_a_file_holds(grown, tmp_path, name, value):
    """Kind: a file made by somebody else, with the right checksum."""
    arrays = map_file.map_arrays(grown)
    changed = value(arrays.pop(name))
    map_file.write_map(tmp_path / "a.npz", arrays | ({} if changed is None else {name: changed}))
    with pytest.raises(InputError, match="is not a tissue map"):
        load_map(tmp_path / "a.npz", CONFIG)


@pytest.mark.parametrize("name", ["pipe.npz", "loop.npz", "folder.npz", "device.npz"])
def test_what_is_no_file_is_refused_at_once(grown, tmp_path, name):
    """Row: saving to a FIFO."""
    path = tmp_path / name
    if name == "pipe.npz":
        os.mkfifo(path)
    elif name == "loop.npz":
        path.symlink_to(path)
    elif name == "folder.npz":
        path.mkdir()
    else:
        path.symlink_to("/dev/zero")
    for action in (save, load):
        with pytest.raises((InputError, ConfigurationError)):
            action(Idle(grown), tmp_path, name)


@pytest.mark.parametrize(
    "name",
    ["/etc/x.npz", "../x.npz", "~/x.npz", "~root/x.npz", "a/../../x.npz", "out/x.npz", "", "a\0b"],
)
def test_names_outside_the_folder_are_refused(grown, tmp_path, name):
    """Row: `save_map /etc/x.npz`."""
    folder = tmp_path / "maps"
    folder.mkdir()
    (folder / "out").symlink_to(tmp_path)
    for action in (save, load):
        with pytest.raises(InputError, match=r"outside|no map file"):
            action(Idle(grown), folder, name)
    assert not (tmp_path / "x.npz").exists()


def test_an_unknown_home_is_a_name_like_any_other(tmp_path):
    """Row: `~nobody/x.npz` ended the process."""
    folder = tmp_path / "maps"
    assert path_within(folder, "~nobody_at_all/x.npz") == folder / "~nobody_at_all" / "x.npz"


def test_saved_and_loaded_by_name_and_by_path(grown, tmp_path):
    said = save(Idle(grown), tmp_path, "a.npz")
    assert said == f"50 Gaussians saved to {tmp_path / 'a.npz'}"
    other = Idle(TissueMap(CONFIG))
    load(other, tmp_path, str(tmp_path / "a.npz"))
    assert other.tissue.store.count == 50
    with pytest.raises(ConfigurationError, match="tissue_map"):
        save(Idle(None), tmp_path, "a.npz")


FILL = """
import resource, sys
from pathlib import Path
import numpy as np
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.tissue.store.splat_file import NAMES, write_vertices
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
try:
    write_vertices(Path(sys.argv[1]), np.zeros(1000, [(name, "<f4") for name in NAMES]), "metre")
except ConfigurationError as error:
    sys.exit(str(error))
"""


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    """Row: `save_map x.ply` destroyed the old file."""
    path = tmp_path / "map.ply"
    path.write_text("the old map")
    command = [sys.executable, "-c", FILL, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "cannot be written" in done.stderr, done.stderr
    assert path.read_text() == "the old map"
    assert list(tmp_path.iterdir()) == [path]
