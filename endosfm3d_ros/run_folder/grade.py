"""One word for a run, and why: what its own numbers allow to be said without a reference.

It is no measure of accuracy. A run that is `good` shows no sign of being wrong; one that is not
says what to look at first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.run_folder.frame_record import FrameRecord
from endosfm3d_ros.types import ScaleSource, TrackingState

WORDS = ("good", "usable", "poor", "unusable")
LOST = (0.02, 0.20, 0.80)  # share of frames from which on the word falls by one, two, three
UNCOVERED = (0.20, 0.50, 0.95)  # share of pixels without depth, median over frames
UNSURE = (0.70, 0.90)  # one minus confidence of depth, median over frames
GUESSED = (0.35, 0.70)  # share of the map that nobody measured, at the end
DROPPED = (0.20, 0.60)  # share of frames that a live run left out
DOUBTFUL_FOCAL = 0.05  # relative deviation of the focal length


@dataclass(frozen=True)
class Grade:
    """A word of WORDS, and a sentence for everything that is not as it should be."""

    word: str
    reasons: tuple[str, ...]

    @classmethod
    def of(cls, records: Sequence[FrameRecord], frames: int, dropped: int = 0) -> Grade:
        """What the frames of a run say.

        Args:
            records: of every processed frame.
            frames: that the recording had.
            dropped: of them, live.
        """
        if not records:
            return cls(WORDS[-1], ("no frame was processed",))
        found = sorted(_findings(records, frames, dropped), reverse=True)
        return cls(WORDS[found[0][0] if found else 0], tuple(sentence for _, sentence in found))


def _findings(
    records: Sequence[FrameRecord], frames: int, dropped: int
) -> Iterator[tuple[int, str]]:
    """(how far the word falls, sentence), of what counts against the run."""
    yield from _depth(records)
    yield from _camera(records)
    last = records[-1]
    if last.gaussians:
        share = last.inferred
        yield from _fallen(share, GUESSED, f"{share:.0%} of the map was never measured")
    share = dropped / max(frames, 1)
    yield from _fallen(share, DROPPED, f"{share:.0%} of the frames were dropped: too slow for live")


def _depth(records: Sequence[FrameRecord]) -> Iterator[tuple[int, str]]:
    if records[-1].scale == ScaleSource.RELATIVE:
        yield 1, "the scale is relative: shapes can be used, lengths cannot"
    if records[-1].depth_source == "shading":
        yield 2, "depth comes from shading alone: no right eye, and no network was used"
    share = 1 - float(np.median([record.depth_coverage for record in records]))
    yield from _fallen(share, UNCOVERED, f"{share:.0%} of the pixels have no depth (median)")
    share = 1 - float(np.median([record.confidence for record in records]))
    yield from _fallen(share, UNSURE, f"mean confidence of depth is {1 - share:.2f} (median)")


def _camera(records: Sequence[FrameRecord]) -> Iterator[tuple[int, str]]:
    lost = sum(record.state == TrackingState.LOST for record in records)
    share = lost / len(records)
    yield from _fallen(share, LOST, f"tracking was lost in {lost} of {len(records)} frames")
    last = records[-1]
    # depth that was given or measured by a pair has a calibration of its own
    if last.focal_sigma > DOUBTFUL_FOCAL and last.depth_source not in ("topic", "stereo"):
        yield 1, f"the focal length is known to {last.focal_sigma:.0%} only (1 sigma)"


def _fallen(share: float, limits: tuple[float, ...], sentence: str) -> Iterator[tuple[int, str]]:
    """One step for each limit that is passed."""
    steps = sum(share > limit for limit in limits)
    if steps:
        yield steps, sentence
