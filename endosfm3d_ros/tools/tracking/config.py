"""Settings of the tracker."""

from __future__ import annotations

from dataclasses import dataclass

from endosfm3d_ros.errors import ConfigurationError


@dataclass(frozen=True)
class TrackerConfig:
    """Pixels at working width unless stated; times in seconds.

    Raises:
        ConfigurationError: no tool, or more than a label image can number.
    """

    width: int = 320  # working width; the answer has the size of the image
    max_tools: int = 4  # a da Vinci has three instruments and an assistant's
    max_candidates: int = 16  # regions that may become tools, the largest first
    min_area: float = 0.004  # of the image, of a new tool
    part_area: float = 0.0005  # of the image, of a part of a tool
    join: int = 17  # gap between parts of a new tool: highlights split jaws
    attach: int = 25  # gap between a known tool and a part of it: a dark wrist
    same_entry: float = 0.1  # of the width; parts with a smaller gap at the border are one tool
    border: int = 6  # from the image border, still at it; cameras frame the picture in black
    sure_area: float = 0.015  # of the image, from which a sight counts fully towards a birth
    birth_frames: int = 3  # in a row, of a region at the border; as many again for each miss
    inner_birth_frames: int = 12  # in a row, of a region inside: tools do not appear there
    hold: float = 1.0  # behind another tool or missed; then a tool or candidate is gone
    memory: float = 10.0  # in which a tool that comes back gets its old id
    reentry: float = 0.25  # of the width, between where a tool left and where it comes back
    overlap_share: float = 0.6  # of a match's quality; the rest is distance to the prediction
    reach: float = 0.12  # of the width; distance at which a match is worth 1/e
    reach_growth: float = 2.0  # per second in which a tool was not seen
    min_quality: float = 0.1  # of a match, 0..1
    min_new_quality: float = 0.3  # of one that a candidate needs: flicker overlaps by chance only
    claim: float = 0.3  # share of a tool that a common region must hold to be split for it
    contact_damping: float = 0.5  # of the advance of tools that touch, in each frame
    fit_stride: int = 5  # px between samples of a region in which tools cross
    fit_steps: tuple[float, ...] = (10.0, 10.0, 5.0, 5.0, 2.5)  # px, of bases and tips, in turn
    fit_reluctance: float = 0.002  # of the region, that a step must gain
    explained: float = 2.0  # half widths from an axis, within which an entry is that of its tool
    shaped: float = 0.1  # of a region, that straight strips need not cover: jaws, ragged outlines
    newcomer_gain: float = 0.75  # of what is not covered, that may be left with one tool more
    hidden: float = 0.85  # share of a tool behind another one, from which it is not seen
    smoothing: float = 0.4  # share of a new frame in velocity and score
    mapping_margin: int = 47  # px at a width of 1280: side of the dilation of EndoLRMGS

    def __post_init__(self) -> None:
        if not 1 <= self.max_tools <= 64:
            raise ConfigurationError(f"{self.max_tools} tools at most: 1 to 64 are accepted")
