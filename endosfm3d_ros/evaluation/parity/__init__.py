"""Numerical agreement with the published code, from a folder of golden vectors.

Each .npz file has one function that yields its checks; `PARTS` joins them. To add one, write
`checks(folder) -> Iterator[Check]` in a module of its own and enter it below.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.evaluation.parity import depth, evaluators, openlrm, opjpo, pose, training
from endosfm3d_ros.evaluation.parity.check import Check
from endosfm3d_ros.evaluation.parity.golden import GoldenFolder

PARTS: dict[str, Callable[[GoldenFolder], Iterator[Check]]] = {
    "endosfm3d_depth": depth.checks,
    "endosfm3d_pose": pose.checks,
    "endosfm3d_train": training.checks,
    "eval_depth": evaluators.depth_checks,
    "eval_pose": evaluators.pose_checks,
    "openlrm_base": openlrm.base_checks,
    "openlrm_tiny": openlrm.tiny_checks,
    "openlrm_io": openlrm.io_checks,
    "opjpo": opjpo.checks,
}


def run(path: Path, only: Collection[str] = ()) -> Iterator[tuple[str, Check]]:
    """(npz stem, check) one by one, as they are computed; stems that are absent are passed over.

    Args:
        path: the golden folder.
        only: these stems; empty: all.

    Raises:
        InputError: the folder has no part that is asked for, or one of another layout.
    """
    folder = GoldenFolder(path)
    stems = [stem for stem in PARTS if folder.has(stem) and (not only or stem in only)]
    if not stems:
        raise InputError(f"{path} holds none of {', '.join(f'{stem}.npz' for stem in PARTS)}")
    for stem in stems:
        for check in PARTS[stem](folder):
            yield stem, check
