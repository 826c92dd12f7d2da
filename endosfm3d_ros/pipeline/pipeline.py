"""Floor 4: the graph of stages, synchronous and deterministic.

Command line and tests use `Pipeline.process`; `live.LivePipeline` runs the two halves of it on
threads of their own.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import TYPE_CHECKING, Any

from endosfm3d_ros.inputs.plausibility import require_picture
from endosfm3d_ros.pipeline.quality import BALANCED, QualityControl
from endosfm3d_ros.runtime.memory import give_back
from endosfm3d_ros.runtime.timing import Slack, StageClock
from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig
from endosfm3d_ros.sfm.estimator import Estimator, EstimatorConfig
from endosfm3d_ros.tools.labels import without_tools
from endosfm3d_ros.types import Frame, ScaleSource, SceneUpdate, StageReport, TissueView

if TYPE_CHECKING:
    from endosfm3d_ros.tissue.map import TissueConfig, TissueMap
    from endosfm3d_ros.tools.stage import ToolsConfig, ToolStage
    from endosfm3d_ros.tools.tracking.types import ToolTracks


@dataclass(frozen=True)
class PipelineConfig:
    """Settings of every stage."""

    sfm: EstimatorConfig = field(default_factory=EstimatorConfig)
    tools: ToolsConfig | None = None  # None: instruments are neither segmented nor placed
    tissue: TissueConfig | None = None  # None: no map is kept
    tissue_budget: float | None = 0.035  # s of one update, beside the slack; None: offline
    quality: str = BALANCED.name  # auto | fast | balanced | fine: shares of what is said above

    @classmethod
    def complete(cls, live: bool = False, **stages: Any) -> PipelineConfig:
        """Every stage with its defaults, as `endosfm3d run` has them.

        Args:
            live: frames do not wait for refinement or models; otherwise all of them do, so that a
                run can be repeated.
            stages: fields that differ.
        """
        from endosfm3d_ros.tissue.config import TissueConfig
        from endosfm3d_ros.tools.stage import ToolsConfig

        everything = {
            "sfm": EstimatorConfig(background=live, intrinsics=IntrinsicsConfig("auto")),
            "tools": ToolsConfig("auto", in_background=live),
            "tissue": TissueConfig(),
            "tissue_budget": cls.tissue_budget if live else None,
        }
        return cls(**(everything | stages))


@dataclass(frozen=True)
class Begun:
    """A frame between the halves of the pipeline."""

    update: SceneUpdate  # tissue and tools are not in it yet
    tracks: ToolTracks | None  # None where instruments are not looked for
    clock: StageClock
    report: StageReport


class Pipeline:
    """Every stage in order: `process`, or its halves `begin` and `finish`.

    Args:
        config: None is everything, offline, with the defaults of `endosfm3d run`.
        report: hears what is being built.
    """

    def __init__(
        self,
        config: PipelineConfig | None = None,
        report: Callable[[str], None] = logging.getLogger(__name__).info,
    ) -> None:
        self.config = config or PipelineConfig.complete()
        self.slack = Slack()
        self.quality = QualityControl(self.config.quality)
        self._work = {"track": 0.0, "map": 0.0}  # s that each half took last
        self.sfm = Estimator(self.config.sfm, report, self.slack)
        self.tools = self._tool_stage(report)
        self.tissue = self._tissue_map()

    # Imported where they are used: a node without these stages starts without torch.
    def _tool_stage(self, report: Callable[[str], None]) -> ToolStage | None:
        if self.config.tools is None:
            return None
        from endosfm3d_ros.tools.stage import ToolStage

        return ToolStage(self.config.tools, report)

    def _tissue_map(self) -> TissueMap | None:
        if self.config.tissue is None:
            return None
        from endosfm3d_ros.tissue.map import TissueMap

        return TissueMap(self.config.tissue)

    def reset(self) -> None:
        """Forget the stream; the next frame is a first frame."""
        for stage in (self.sfm, self.tools, self.tissue):
            if stage is not None:
                stage.reset()

    def close(self) -> None:
        """End what runs beside the frames."""
        if self.tools is not None:
            self.tools.close()

    def spare_memory(self) -> None:
        """Less detail from now on, and what is not in use goes back to the system."""
        self.quality.lower()
        if self.tissue is not None:
            self.tissue.set_width(round(self.config.tissue.width * self.quality.step.width))
        give_back()

    def backend(self) -> str:
        """What runs the networks of all stages; "none" where none run."""
        stages = [self.sfm.backend(), self.tools.backend() if self.tools else "none"]
        return "; ".join(said for said in stages if said != "none") or "none"

    def report(self) -> StageReport:
        """What the stages say of themselves; asked by the thread that runs `begin`."""
        return StageReport(
            backend=self.backend(),
            intrinsics_mode=self.sfm.intrinsics_mode,
            k_seen_by=self.sfm.k_seen_by(),
            notes=tuple(self.sfm.notes()),
            quality=self.quality.step.name,
        )

    def process(self, frame: Frame) -> SceneUpdate:
        """One frame through all stages.

        Raises:
            InputError: the chosen depth source cannot work on this frame.
        """
        return self.finish(self.begin(frame))

    def begin(self, frame: Frame) -> Begun:
        """What the image shows: instruments, depth, camera and motion. Raises as `process`.

        The next frame may be begun while this one is finished: what both look at, as the slack,
        are numbers that one of them alone writes.
        """
        require_picture(frame.image)
        clock, tracks = StageClock(), None
        step = self.quality.observe(monotonic(), max(self._work.values()), self.slack.scarce)
        self.sfm.match_eyes_at(step.stereo_width)
        with clock.stage("total"):
            # 1 instruments first: nothing after this may take them for tissue
            if self.tools is not None:
                with clock.stage("segment"):
                    tracks = self.tools.segment(frame)
                frame = without_tools(frame, tracks)
            # 2 depth, intrinsics, camera motion
            update = self.sfm.estimate(frame, clock)
        self._work["track"] = clock.milliseconds["total"] * 1e-3
        return Begun(update, tracks, clock, self.report())

    def finish(self, begun: Begun) -> SceneUpdate:
        """What follows for the scene; frames are finished in the order in which they were begun."""
        update, clock = begun.update, begun.clock
        start = monotonic()
        with clock.stage("total"):
            # 3 the tissue that they show, and what they hide
            if self.tissue is not None:
                with clock.stage("tissue"):
                    update = replace(update, tissue=self._map(update))
            # 4 instruments as objects
            if begun.tracks is not None:
                with clock.stage("tools"):
                    view = self.tools.place(begun.tracks, update)
                update = replace(update, tools=view)
        self._work["map"] = monotonic() - start
        return replace(update, timings=clock.milliseconds, report=begun.report)

    def _map(self, update: SceneUpdate) -> TissueView:
        budget, step = self.config.tissue_budget, self.quality.step
        self.tissue.set_width(round(self.config.tissue.width * step.width))
        relative = [each.scale == ScaleSource.RELATIVE for each in (self.tissue, update.depth)]
        if self.tissue.graph is not None and relative[0] != relative[1]:
            self.tissue.reset()  # the stream has become metric: the map's unit is gone
        return self.tissue.update(
            update.image,
            update.depth,
            update.pose,
            update.labels,
            budget=None if budget is None else budget * step.budget + self.slack.seconds,
            unit=update.unit,
        )
