"""The generated pairs and depth images through bags and clip folders: right to 1 %, or refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from combinations import (
    FEW,
    Case,
    cases,
    error_of,
    estimated,
    few_or_all,
    generated,
    message_of,
    require_right,
    tally,
)
from depth_combinations import DepthCase, depth_cases, depth_error, require_right_depth
from plane_scene import raw_message
from recorded import recorded, write_bag

from endosfm3d_ros.datasets.clips.writer import write_clip
from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.errors import InputError

STAMPS = (10**9, 10**9 + 10**8)


def bag_of(case: Case, path: Path) -> Path:
    """Two pairs; the calibrations come when the case says, as others' recordings have them."""
    pictures = dict(zip(("left", "right"), case.pictures()))
    sent = dict(zip(("left", "right"), case.infos()))
    rows = []
    for stamp in STAMPS:
        for part in case.order:
            if part != "size":
                rows.append((f"/{part}/camera_info", stamp, recorded(sent[part], stamp)))
                continue
            for eye, picture in pictures.items():
                plain = message_of(picture, case.encoding)
                packed = "" if hasattr(plain, "encoding") else "/compressed"
                rows.append((f"/{eye}/{case.word}{packed}", stamp, recorded(plain, stamp)))
    return write_bag(path, rows)


def depth_bag_of(case: DepthCase, path: Path) -> Path:
    """A picture and its depth."""
    depth = case.message()
    packed = "" if hasattr(depth, "encoding") else "/compressedDepth"
    rows = [
        ("/left/camera_info", STAMPS[0], recorded(case.info(), STAMPS[0])),
        ("/left/image_raw", STAMPS[0], recorded(raw_message(case.picture(), "rgb8"), STAMPS[0])),
        (f"/reference/depth{packed}", STAMPS[0], recorded(depth, STAMPS[0])),
    ]
    return write_bag(path, rows)


def outcome(sequence: Sequence, case: Case) -> str:
    said = sequence.report.entries
    if sequence.stereo is None:
        assert any(entry.action == "refused" for entry in said), case
        return "refused"
    frame = next(iter(sequence))
    found = estimated(frame.image, frame.right_image, frame.stereo)
    return require_right(error_of(found, frame.stereo.left, case), case, said)


def both_ways(case: Case, folder: Path) -> list[str]:
    """What becomes of a case in a bag, and in a clip folder made of that."""
    try:
        bag = open_sequence(bag_of(case, folder / "bag"))
        ways = [outcome(bag, case)]
    except InputError:
        return ["refused", "refused"]
    if ways == ["refused"]:
        return [*ways, "refused"]
    write_clip(bag, folder / "clip", "png")
    return [*ways, outcome(open_sequence(folder / "clip"), case)]


def depth_outcome(sequence: Sequence, case: DepthCase) -> str:
    frame, depth = next(iter(sequence)), sequence.reference_depth(0)
    assert depth is not None
    if not np.isfinite(depth).any():  # metres in integers: nothing is left of them
        return "refused"
    return require_right_depth(case, *depth_error(frame.image, frame.camera, depth, case))


def depth_both_ways(case: DepthCase, folder: Path) -> list[str]:
    found = []
    try:
        bag = open_sequence(depth_bag_of(case, folder / "bag"))
        found.append(depth_outcome(bag, case))
        write_clip(bag, folder / "clip", "png")
        found.append(depth_outcome(open_sequence(folder / "clip"), case))
    except InputError:
        found += ["refused"] * (2 - len(found))
    return found


def through(ways, examples, tmp_path: Path, what: str):
    """Outcomes of the bags and of the clips; one folder at a time."""
    found = []
    for case in examples:
        found.append(ways(case, tmp_path / "one"))
        shutil.rmtree(tmp_path / "one", ignore_errors=True)
    names = ("bags", "clips")
    return [tally(f"{what}, {names[i]}", (pair[i] for pair in found)) for i in range(2)]


@pytest.mark.parametrize("count", few_or_all(24))
def test_the_cloud_of_a_recorded_pair_is_right_or_refused(tmp_path, count):
    (tmp_path / "one").mkdir()
    for outcomes in through(both_ways, generated(cases, count), tmp_path, "pairs"):
        assert outcomes["refused"] <= FEW * outcomes["right"], outcomes


@pytest.mark.parametrize("count", few_or_all(40))
def test_recorded_depth_is_of_the_pixels_of_the_picture_or_refused(tmp_path, count):
    made = generated(depth_cases, count)
    whole = sum(case.must_be_read and case.size == (160, 128) for case in made)
    for outcomes in through(depth_both_ways, made, tmp_path, "depth"):
        assert outcomes["right"] >= whole > count / 8, outcomes
