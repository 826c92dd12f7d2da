"""Floor 4: the graph of stages, and the threads that run it on the latest frame.

`Pipeline` is synchronous and deterministic: command line and tests use it as it is.
`LivePipeline` puts a slot of one frame before it (the newest frame wins, older ones are counted)
and hands results on from a second thread, so that the next frame does not wait for messages.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TYPE_CHECKING

from endosfm3d_ros.sfm.estimator import Estimator, EstimatorConfig
from endosfm3d_ros.timing import Slack, StageClock
from endosfm3d_ros.tools.labels import without_tools
from endosfm3d_ros.types import Frame, ScaleSource, SceneUpdate, TissueView

if TYPE_CHECKING:
    from endosfm3d_ros.tissue.map import TissueConfig, TissueMap
    from endosfm3d_ros.tools.stage import ToolsConfig, ToolStage


@dataclass(frozen=True)
class PipelineConfig:
    """Settings of every stage."""

    sfm: EstimatorConfig = field(default_factory=EstimatorConfig)
    tools: ToolsConfig | None = None  # None: instruments are neither segmented nor placed
    tissue: TissueConfig | None = None  # None: no map is kept
    tissue_budget: float | None = 0.035  # s of one update, beside the slack; None: offline


class Pipeline:
    """Every stage in order; `process` is the only verb."""

    def __init__(
        self,
        config: PipelineConfig | None = None,
        report: Callable[[str], None] = logging.getLogger(__name__).info,
    ) -> None:
        self.config = config or PipelineConfig()
        self.sfm = Estimator(self.config.sfm, report)
        self.tools = self._tool_stage()
        self.tissue = self._tissue_map()
        self.slack = Slack()

    # Imported where they are used: a node without these stages starts without torch.
    def _tool_stage(self) -> ToolStage | None:
        if self.config.tools is None:
            return None
        from endosfm3d_ros.tools.stage import ToolStage

        return ToolStage(self.config.tools)

    def _tissue_map(self) -> TissueMap | None:
        if self.config.tissue is None:
            return None
        import torch

        from endosfm3d_ros.tissue.map import TissueMap

        # The rasteriser has threads of its own; torch's would spin beside them.
        torch.set_num_threads(1)
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

    def backend(self) -> str:
        """What runs the networks of all stages; "none" where none run."""
        stages = [self.sfm.backend(), self.tools.backend() if self.tools else "none"]
        return "; ".join(said for said in stages if said != "none") or "none"

    def process(self, frame: Frame) -> SceneUpdate:
        """One frame through all stages.

        Raises:
            InputError: the chosen depth source cannot work on this frame.
        """
        clock = StageClock()
        with clock.stage("total"):
            # 1 instruments first: nothing after this may take them for tissue
            tracks = None
            if self.tools is not None:
                with clock.stage("segment"):
                    tracks = self.tools.segment(frame)
                frame = without_tools(frame, tracks)
            # 2 depth, intrinsics, camera motion
            update = self.sfm.estimate(frame, clock)
            # 3 the tissue that they show, and what they hide
            if self.tissue is not None:
                with clock.stage("tissue"):
                    update = replace(update, tissue=self._map(update))
            # 4 instruments as objects
            if tracks is not None:
                with clock.stage("tools"):
                    view = self.tools.place(tracks, update)
                update = replace(update, tools=view)
        return replace(update, timings=clock.milliseconds)

    def _map(self, update: SceneUpdate) -> TissueView:
        budget = self.config.tissue_budget
        relative = [each.scale == ScaleSource.RELATIVE for each in (self.tissue, update.depth)]
        if self.tissue.graph is not None and relative[0] != relative[1]:
            self.tissue.reset()  # the stream has become metric: the map's unit is gone
        return self.tissue.update(
            update.image,
            update.depth,
            update.pose,
            update.labels,
            budget=None if budget is None else budget + self.slack.seconds,
        )


class LatestFrameSlot:
    """Holds at most one frame. Putting a frame replaces the one that nobody has taken."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._frame: Frame | None = None
        self.dropped = 0

    def put(self, frame: Frame) -> None:
        """Never blocks; counts the frame that it replaces."""
        with self._condition:
            self.dropped += self._frame is not None
            self._frame = frame
            self._condition.notify()

    def take(self, timeout: float) -> Frame | None:
        """The newest frame, or None after `timeout` seconds without one."""
        with self._condition:
            self._condition.wait_for(lambda: self._frame is not None, timeout)
            frame, self._frame = self._frame, None
            return frame

    def clear(self) -> None:
        """Throw away what waits, without counting it as dropped."""
        with self._condition:
            self._frame = None


class LivePipeline:
    """Runs a pipeline on its own thread, always on the newest frame; results go out on another.

    Args:
        pipeline: used by its thread alone once that runs.
        on_update: called with each result, in order, on the thread of results.
        on_error: called there with the frame and the exception that it caused, in `process` or in
            `on_update`; the threads go on with the next frame.
    """

    POLL = 0.1  # s between looks at the stop flag while no frame comes

    def __init__(
        self,
        pipeline: Pipeline,
        on_update: Callable[[SceneUpdate], None],
        on_error: Callable[[Frame, Exception], None],
    ) -> None:
        self.slot = LatestFrameSlot()
        self._pipeline = pipeline
        self._on_update = on_update
        self._on_error = on_error
        self._actions: queue.SimpleQueue[Callable[[Pipeline], None]] = queue.SimpleQueue()
        # One result may wait: nothing is lost, and a slow listener slows the pipeline down.
        self._results: queue.Queue[tuple[Frame, SceneUpdate | Exception] | None] = queue.Queue(1)
        self._reset = threading.Event()
        self._stop = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, name="pipeline", daemon=True),
            threading.Thread(target=self._hand_on, name="results", daemon=True),
        ]

    def start(self) -> None:
        """Begin to take frames from the slot."""
        for thread in self._threads:
            thread.start()

    def stop(self, timeout: float = 2.0) -> bool:
        """Ask to end after the current frame and its result; False if not within `timeout` s."""
        self._stop.set()
        end = perf_counter() + timeout
        for thread in self._threads:
            if thread.is_alive():
                thread.join(max(0.0, end - perf_counter()))
        return not any(thread.is_alive() for thread in self._threads)

    def reset(self) -> None:
        """Forget the stream before the next frame is processed; what waits is thrown away."""
        self.slot.clear()
        self._reset.set()

    def between_frames(self, action: Callable[[Pipeline], None]) -> None:
        """Have something done on the pipeline's thread after its current frame; must not raise."""
        self._actions.put(action)

    def _run(self) -> None:
        waited = 0.0  # s for the next frame
        while not self._stop.is_set():
            begin = perf_counter()
            frame = self.slot.take(self.POLL)
            waited += perf_counter() - begin
            self._act()
            if self._reset.is_set():
                self._reset.clear()
                self._pipeline.reset()
            if frame is not None:
                self._pipeline.slack.waited(waited)
                waited = 0.0
                self._results.put((frame, self._processed(frame)))

        self._act()  # whoever asked waits for an answer
        self._results.put(None)

    def _act(self) -> None:
        while not self._actions.empty():
            self._actions.get()(self._pipeline)

    def _processed(self, frame: Frame) -> SceneUpdate | Exception:
        try:
            return self._pipeline.process(frame)
        except Exception as error:
            return error

    def _hand_on(self) -> None:
        while (result := self._results.get()) is not None:
            frame, outcome = result
            try:
                if isinstance(outcome, Exception):
                    raise outcome
                self._on_update(outcome)
            except Exception as error:
                self._on_error(frame, error)
