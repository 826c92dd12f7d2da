"""What `endosfm3d check` says of a recording's times is true."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.check import findings
from endosfm3d_ros.datasets.open import open_sequence


def clip(folder, numbers: list[int]):
    """A clip of 30 Hz in which only these frames are there."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(1)
    for number in numbers:
        picture = cv2.GaussianBlur(rng.integers(0, 255, (96, 128, 3), np.uint8), (0, 0), 2)
        cv2.imwrite(str(folder / "images" / f"{number:06d}.png"), picture)
    camera = {"image_size": [128, 96], "fx": 105, "fy": 105, "cx": 63.5, "cy": 47.5, "fps": 30}
    (folder / "camera.json").write_text(json.dumps(camera))
    return open_sequence(folder)


@pytest.mark.parametrize(
    "numbers,said",
    [
        (list(range(20)), []),
        (list(range(0, 60, 3)), ["one frame in 3 of 30 Hz is there: 10 Hz"]),
        ([*range(10), *range(20, 30)], ["1 gap in 20 frames, the longest of 367 ms at 33 ms"]),
        (
            [*range(0, 30, 3), *range(60, 90, 3)],
            ["one frame in 3 of 30 Hz is there", "1 gap in 20 frames, the longest of 1100 ms at"],
        ),
    ],
)
def test_rate_and_gaps_are_those_of_the_frames_that_are_there(tmp_path, numbers, said):
    entries = [str(entry) for entry in findings(clip(tmp_path / "clip", numbers))]
    times = [entry for entry in entries if "Hz is there" in entry or " gap" in entry]
    assert len(times) == len(said)
    for sentence in said:
        assert any(sentence in entry for entry in times)


CLIPS = (
    "endonerf", "jhu_sinus", "scared_seq", "stereomis/fabricated_from_scared/S1",
    "endonerf/source_pulling.mp4", "more/artnet", "more/c3vd_trans_t1_a", "more/cholec_loop",
    "more/colon_human_ucl", "more/dvrk_board_pairs", "more/dvrk_liver_pairs",
    "more/endovis17_short", "more/hand_endoscope/endoscope.mp4", "more/scared_d1k1",
    "more/super_trial3",
)  # fmt: skip


@pytest.mark.parametrize("name", CLIPS)
def test_nothing_untrue_is_found_in_real_clips(shared, name):
    """Known of them: frames, masks and depth that are there for some frames only."""
    path = shared / "data" / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    known = ("Hz is there", " gap", "for 1 of 20", "for 20 of 60", "for 20 of 100")
    for entry in findings(open_sequence(path)):
        assert entry.severity == 0 and any(words in str(entry) for words in known), str(entry)
