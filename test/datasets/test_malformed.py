"""Whatever lies in a camera file, a pose table or a list of a bag: one sentence, or a recording."""

import json
import math
import struct

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from endosfm3d_ros.datasets.bags.layout import read_metadata
from endosfm3d_ros.datasets.bags.mcap_file import McapFile
from endosfm3d_ros.datasets.formats.calibration import read_camera_file
from endosfm3d_ros.datasets.formats.intrinsics_table import read_cameras
from endosfm3d_ros.datasets.formats.poses import read_poses, write_poses
from endosfm3d_ros.datasets.published.dvrk_sidecar import read_sidecar
from endosfm3d_ros.datasets.published.stereomis_calibration import read_stereo_calibration
from endosfm3d_ros.errors import EndoError
from endosfm3d_ros.geometry import se3

QUICK = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NUMBERS = st.one_of(st.floats(), st.integers(-5, 5000), st.integers(), st.booleans())
SCALARS = st.one_of(NUMBERS, st.none(), st.text(max_size=8))
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)
MATRIX = st.one_of(
    ANYTHING, st.lists(st.lists(NUMBERS, min_size=3, max_size=4), min_size=3, max_size=3)
)
CAMERA = {
    "image_size": st.one_of(ANYTHING, st.lists(NUMBERS, min_size=2, max_size=2)),
    **{key: st.one_of(NUMBERS, ANYTHING) for key in ("fx", "fy", "cx", "cy", "fps")},
}
OPTIONAL = {
    "distortion": st.one_of(ANYTHING, st.lists(NUMBERS, max_size=15)),
    "depth_unit_mm": SCALARS,
    "rectified": SCALARS,
    "turned": SCALARS,
    **{key: MATRIX for key in ("P1", "P2", "K1", "K2", "R1", "R2")},
    **{key: st.lists(NUMBERS, max_size=9) for key in ("D1", "D2")},
}
LINES = st.one_of(
    st.text(max_size=30),
    st.lists(st.floats().map(str), max_size=9).map(" ".join),
    st.tuples(st.integers(-2, 9), st.lists(st.floats(-9, 9), min_size=7, max_size=7)).map(
        lambda row: f"{row[0]} " + " ".join(map(str, row[1]))
    ),
)


def or_one_sentence(read, *arguments):
    """What it reads, or None after an error that a person can act on."""
    try:
        return read(*arguments)
    except EndoError as error:
        assert str(error) and "\n" not in str(error)[:400]
        return None


@QUICK
@given(content=st.one_of(ANYTHING, st.fixed_dictionaries(CAMERA, optional=OPTIONAL)))
def test_camera_files(tmp_path, content):
    path = tmp_path / "camera.json"
    path.write_text(json.dumps(content))
    found = or_one_sentence(read_camera_file, path)
    if found is not None:
        assert min(found.camera.size) > 0 and math.isfinite(found.fps) and found.fps > 0
        assert np.isfinite(found.camera.K).all()


@QUICK
@given(content=st.binary(max_size=200))
@pytest.mark.parametrize("read", [read_camera_file, read_poses])
def test_bytes_that_are_no_text(tmp_path, read, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    or_one_sentence(read, path)


def test_nesting_without_end(tmp_path):
    path = tmp_path / "camera.json"
    path.write_text("[" * 100_000)
    assert or_one_sentence(read_camera_file, path) is None


@QUICK
@given(lines=st.lists(LINES, max_size=5))
def test_pose_tables(tmp_path, lines):
    path = tmp_path / "poses.txt"
    path.write_text("\n".join(lines), "utf-8", errors="replace")
    for T in (or_one_sentence(read_poses, path) or {}).values():
        assert np.allclose(T[:3, :3] @ T[:3, :3].T, np.eye(3), atol=1e-6)
    or_one_sentence(read_cameras, path, 64, 48)


@QUICK
@given(
    poses=st.dictionaries(
        st.integers(0, 10**6),
        st.tuples(*[st.floats(-1, 1)] * 3, *[st.floats(0.1, 1)] * 4),
        max_size=4,
    )
)
def test_poses_come_back_under_their_numbers(tmp_path, poses):
    path = tmp_path / "poses.txt"
    matrices = {n: se3.from_quaternion(np.array(v[:3]), np.array(v[3:])) for n, v in poses.items()}
    write_poses(path, matrices)
    found = read_poses(path)
    assert list(found) == list(matrices)
    for n, T in matrices.items():
        np.testing.assert_allclose(found[n], T, atol=1e-12)


@QUICK
@given(
    text=st.one_of(
        st.text(max_size=80),
        ANYTHING.map(lambda value: json.dumps({"rosbag2_bagfile_information": value})),
        st.fixed_dictionaries(
            {},
            optional={
                "topics_with_message_count": st.one_of(
                    ANYTHING,
                    st.lists(
                        st.fixed_dictionaries(
                            {"topic_metadata": ANYTHING, "message_count": SCALARS}
                        ),
                        max_size=3,
                    ),
                ),
                "relative_file_paths": ANYTHING,
            },
        ).map(lambda value: json.dumps({"rosbag2_bagfile_information": value})),
    )
)
def test_lists_of_bags(tmp_path, text):
    (tmp_path / "metadata.yaml").write_text(text, "utf-8", errors="replace")
    listed = read_metadata(tmp_path)
    assert all(isinstance(name, str) for name in (*listed.files, *listed.counts))


@QUICK
@given(content=ANYTHING, frames=st.one_of(ANYTHING, st.lists(ANYTHING, max_size=3)))
def test_times_beside_videos(tmp_path, content, frames):
    sidecar = {"frames": frames, "timestamps_ns": content, "side_by_side": content}
    (tmp_path / "a.json").write_text(json.dumps(sidecar))
    or_one_sentence(read_sidecar, tmp_path / "a.mp4")


INI_KEYS = [f"{name}_{i}" for name, n in (("kc", 8), ("R", 9), ("T", 3)) for i in range(n)]
INI_KEYS += ["fc_x", "fc_y", "cc_x", "cc_y", "res_x", "res_y"]


@QUICK
@given(values=st.lists(st.one_of(SCALARS, st.floats(-2000, 2000)), min_size=26, max_size=26))
def test_calibrations_of_stereomis(tmp_path, values):
    eye = "\n".join(f"{key} = {value}" for key, value in zip(INI_KEYS, values))
    text = f"[StereoLeft]\n{eye}\n[StereoRight]\n{eye}\n"
    (tmp_path / "s.ini").write_text(text, "utf-8", errors="replace")
    or_one_sentence(read_stereo_calibration, tmp_path / "s.ini", (64, 48))


RECORDS = st.lists(
    st.tuples(
        st.integers(0, 255), st.one_of(st.none(), st.integers(0, 2**64 - 1)), st.binary(max_size=60)
    ),
    max_size=6,
)


@QUICK
@given(records=RECORDS)
def test_records_of_mcap_files(tmp_path, records):
    path = tmp_path / "a.mcap"
    content = b"\x89MCAP0\r\n"
    for opcode, length, body in records:
        size = len(body) if length is None else length
        content += struct.pack("<BQ", opcode % 17, size) + body
    path.write_bytes(content)
    file = or_one_sentence(McapFile, path)
    if file is not None:
        for i in range(len(file.times)):
            or_one_sentence(file.read, i)
        file.close()
