"""What continuous integration makes of a demo that showed little or nothing."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SPEC = importlib.util.spec_from_file_location("judge_demo", ROOT / ".ci" / "judge_demo.py")
judge = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(judge)


@pytest.fixture
def picture(tmp_path) -> Path:
    noise = np.random.default_rng(1).integers(0, 255, (200, 300, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "demo.png"), noise)
    return tmp_path / "demo.png"


def said(back: int) -> dict:
    return {"frames_sent": 40, **{f"{topic}_received": back for topic in judge.TOPICS}}


def test_a_good_demo_passes(picture):
    assert judge.complaints(said(37), picture) == []


@pytest.mark.parametrize("back", [0, 7, 35])
def test_frames_that_did_not_come_back_are_named(picture, back):
    complaints = judge.complaints(said(back), picture)
    assert f"{back} of 40 depth images came back" in complaints
    assert len(complaints) == len(judge.TOPICS)


def test_a_missing_or_partly_black_picture_is_named(picture, tmp_path):
    (missing,) = judge.complaints(said(40), tmp_path / "none.png")
    assert "there is no picture" in missing
    image = cv2.imread(str(picture))
    image[100:, 200:] = 0
    cv2.imwrite(str(picture), image)
    assert judge.complaints(said(40), picture) == [
        "panel 6 of the picture is black or of one colour"
    ]


def test_the_json_is_found_among_other_lines():
    log = f"a notice\nbars ━━━\n{json.dumps(said(3), indent=2)}\npicture: {{x}}\n"
    assert judge.figures(log) == said(3)
