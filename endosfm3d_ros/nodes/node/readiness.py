"""What happens before the node is active, and what it says of the first scene."""

from __future__ import annotations

import math
from collections.abc import Sequence

from endosfm3d_ros.engines.progress import Report
from endosfm3d_ros.nodes.messages.frames import FrameNames
from endosfm3d_ros.nodes.messages.output import Output, PublishContext
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.pipeline.rehearsal import Rehearsed, best_kind, measure, rehearse
from endosfm3d_ros.types import ScaleSource, SceneUpdate, StageReport

SETTLED = 2.0  # s of scenes, after which their rate is known
ENOUGH = 8.0  # updates a second, with which nothing need be switched off


def ready_pipeline(config: PipelineConfig, report: Report) -> tuple[Pipeline, Rehearsed]:
    """A pipeline whose engines are built and loaded and whose stages have run.

    Raises:
        EndoError: it cannot be made, or `report` stopped it.
    """
    pipeline = Pipeline(config, report)
    pipeline.quality.try_out()
    tried, rehearsed = pipeline.quality.step, rehearse(pipeline, report)
    if pipeline.quality.begin(rehearsed.seconds) is not tried and rehearsed.update is not None:
        rehearsed = measure(pipeline, best_kind(config.sfm.depth_source))  # as it will run
    return pipeline, rehearsed


def rehearse_messages(
    update: SceneUpdate | None, names: FrameNames, outputs: Sequence[Output]
) -> None:
    """Build every message once and send none: what they need is imported and loaded then.

    Args:
        update: of a made-up image; None where there is none.
        names: of the frames.
        outputs: of the catalogue; closed here.
    """
    for output in outputs:
        if update is not None:
            list(
                output.messages(update, PublishContext(names, frozenset(output.topics), True, 0.0))
            )
        output.close()


def expectation(rehearsed: Rehearsed, quality: str) -> str:
    """What this machine can be expected to do at a quality, in one sentence."""
    if not math.isfinite(rehearsed.seconds):
        return "how many updates a second to expect is not known"
    sentence = f"about {rehearsed.rate:.1f} updates a second can be expected here"
    sentence += f" with quality {quality}, if nothing else runs"
    if rehearsed.rate < ENOUGH:
        sentence += f"; {advice(rehearsed.stages)}"
    return sentence


def advice(stages: dict[str, float]) -> str:
    """What to do about a machine that is slow.

    Args:
        stages: ms of one update by stage.
    """
    dear = {
        "tissue": "`tissue_map: false`",
        "segment": '`tools: "off"`',
        "depth": "`depth_source: endosfm3d` (one eye)",
    }
    total = max(stages.get("total", 0.0), 1e-3)
    shares = sorted(((stages.get(stage, 0.0) / total, way) for stage, way in dear.items()))
    said = [f"{way} saves up to {share:.0%}" for share, way in reversed(shares) if share > 0.1]
    return f"`quality: fast` is coarser and quicker; {', '.join(said)}" if said else ""


class FirstScene:
    """Says once, when the rate is known, what the scene is made of."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._count = 0
        self._said = False

    def sentence(self, update: SceneUpdate, now: float) -> str:
        """The summary with the first update that comes `SETTLED` s after the first; else nothing.

        Args:
            update: that has just been published.
            now: time in s.
        """
        if self._said:
            return ""
        if self._first is None:
            self._first = now
        if now - self._first < SETTLED:
            self._count += 1
            return ""
        self._said = True
        return f"the scene is there: {summary(update, self._count / (now - self._first))}"


def summary(update: SceneUpdate, rate: float) -> str:
    """Depth source, scale, size, rate, instruments, and what is missing for a better scene."""
    depth, height, width = update.depth, *update.frame.image.shape[:2]
    relative = depth.scale == ScaleSource.RELATIVE
    tools = "not looked for" if update.tools is None else f"{len(update.tools.tools)}"
    parts = [
        f"images {width}x{height}",
        f"depth from {depth.source}",
        "no scale" if relative else f"metres by {depth.scale.value}",
        f"{rate:.1f} updates/s",
        f"quality {update.report.quality}",
        f"instruments: {tools}",
        f"Gaussians: {'no map' if update.tissue is None else len(update.tissue.gaussians.alive())}",
        f"networks: {update.report.backend}",
    ]
    lacking = missing(update, update.report)
    return "; ".join(parts) + (f". Better with: {', '.join(lacking)}" if lacking else "")


def missing(update: SceneUpdate, report: StageReport) -> list[str]:
    """What would make the scene better."""
    wishes = []
    if update.frame.right_image is None and update.depth.scale == ScaleSource.RELATIVE:
        wishes.append("the right eye and its calibration, or `scale_source`, for metres")
    if update.depth.source == "shading":
        wishes.append("weights of a depth network")
    if update.frame.camera is None and report.intrinsics_mode != "estimate":
        wishes.append("camera_info")
    return wishes
