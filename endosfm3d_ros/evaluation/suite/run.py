"""Many clips, each with both eyes and with one: what every change is judged by."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.errors import EndoError
from endosfm3d_ros.evaluation.evaluate import EvaluationConfig, evaluate
from endosfm3d_ros.evaluation.parts.estimates import DepthPart, PosePart, Value
from endosfm3d_ros.evaluation.parts.honesty import HonestyPart
from endosfm3d_ros.evaluation.report import Report
from endosfm3d_ros.evaluation.runs.playback import OnFrame
from endosfm3d_ros.evaluation.suite.clips import Excerpt, SuiteClip

PARTS = (DepthPart.name, PosePart.name, HonestyPart.name)
EYES = ("both eyes", "one eye")
# of the parts' values, those that a row keeps
KEPT = {
    DepthPart.name: ("abs_rel_median_scaled", "relief"),
    PosePart.name: ("ate_se3_mm", "ate_sim3_of_path", "ate_rot_deg"),
    HonestyPart.name: (
        "lost_frames", "at_rest", "strays_of_distance", "strays_deg", "pose_within_95",
        "pose_nees_median", "focal_error", "converged_share", "focal_within_2_sigma",
        "focal_worst_over_sigma", "focal_worst_converged",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One clip seen with one or both eyes."""

    clip: str
    eyes: str  # of `EYES`
    frames: int
    depth_source: str
    values: dict[str, Value] = field(default_factory=dict)
    failure: str = ""  # why there are no values

    @property
    def key(self) -> str:
        """What the same row of another run is found by."""
        return f"{self.clip}, {self.eyes}"


def run_suite(
    clips: Iterable[SuiteClip],
    config: EvaluationConfig,
    on_clip: Callable[[str, int], OnFrame] = lambda name, frames: lambda count: None,
) -> list[Row]:
    """Every clip with both eyes, where it has them, and with one.

    A clip that cannot be played is a row with the reason; the others go on.

    Args:
        clips: what is played.
        config: how; its parts are replaced by those of the suite.
        on_clip: called with name and count of frames of each run; answers what to call per frame.
    """
    config = replace(config, what=PARTS)
    rows = []
    for clip in clips:
        try:
            sequence = clip.open()
        except EndoError as error:
            rows.append(Row(clip.name, EYES[1], 0, "none", failure=str(error)))
            continue
        for eyes in EYES if sequence.stereo is not None else EYES[1:]:
            rows.append(_row(clip.name, sequence, eyes, config, on_clip))
    return rows


def _row(
    name: str,
    sequence: Sequence,
    eyes: str,
    config: EvaluationConfig,
    on_clip: Callable[[str, int], OnFrame],
) -> Row:
    seen = Excerpt(sequence, one_eye=eyes == EYES[1])
    try:
        report = evaluate(seen, config, on_clip(f"{name}, {eyes}", len(seen)))
    except EndoError as error:
        return Row(name, eyes, len(seen), "none", failure=str(error))
    return Row(name, eyes, report.frames, report.depth_source, _values(report))


def _values(report: Report) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for part, names in KEPT.items():
        scores = report.scores[part]
        if scores is not None:
            values |= {name: scores.values[name] for name in names if name in scores.values}
    return values
