"""The tools stage: masks, identities, models and placements of instruments, frame by frame.

`segment` comes before depth and motion, which must not look at instruments; `place` comes after
them, because placements use depth. Models are made on a thread of their own when a tool appears,
so a frame never waits for one.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace

import cv2
import numpy as np

from endosfm3d_ros.engines import EngineSettings
from endosfm3d_ros.engines.progress import Report
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.tools.belief import Belief, BeliefConfig, Believer, cues_of
from endosfm3d_ros.tools.belief.belief import UNKNOWN
from endosfm3d_ros.tools.labels import MARGIN
from endosfm3d_ros.tools.models.source import ModelSource, model_source
from endosfm3d_ros.tools.opjpo import make_aligner
from endosfm3d_ros.tools.segmentation.sources import mask_source
from endosfm3d_ros.tools.segmentation.topic import TopicSource
from endosfm3d_ros.tools.segmentation.types import ToolMask
from endosfm3d_ros.tools.supply import Known, ModelSupply
from endosfm3d_ros.tools.tracking.config import TrackerConfig
from endosfm3d_ros.tools.tracking.tracker import ToolTracker
from endosfm3d_ros.tools.tracking.types import ToolTracks, TrackedTool
from endosfm3d_ros.tools.types import ToolModel, ToolObservation, ToolPlacement
from endosfm3d_ros.types import Frame, ScaleSource, SceneUpdate

log = logging.getLogger(__name__)

MEASURED_DEPTH = ("stereo", "topic")  # sources whose depth steps are seen, not guessed


@dataclass(frozen=True)
class ToolsConfig:
    """What the stage is made of, and when a model that does not fit is made anew."""

    masks: str = "colour"  # auto | topic | colour | network
    models: str = "capsule"  # articulated | capsule | mesh | lrm
    model_path: str = ""  # mesh file or weights folder
    alignment: str = "joint"  # joint | paper | none
    shaft_diameter: float = 0.008  # m, of capsules (da Vinci); 0: by metric depth
    max_tools: int = 4  # a da Vinci has three instruments and an assistant's
    remake_iou: float = 0.4  # a model that fits worse ...
    remake_frames: int = 30  # ... for so many frames in a row is made anew, never sooner
    belief: BeliefConfig = field(default_factory=BeliefConfig)  # when an instrument is one
    engine: EngineSettings = field(default_factory=EngineSettings)  # of the networks
    in_background: bool = True  # False: a frame waits for its models, for repeatable runs


@dataclass(frozen=True)
class PlacedTool:
    """One instrument at the time of one image."""

    track: TrackedTool
    model: ToolModel | None  # None while it is being made
    placement: ToolPlacement | None  # None without a model, or while the tool is not seen
    model_count: int  # models made for this id; a new one is a new mesh to send
    belief: Belief = UNKNOWN  # that it is an instrument; without it no placement is trusted


@dataclass(frozen=True)
class ToolsView:
    """All instruments of one image."""

    stamp: int
    tracks: ToolTracks
    tools: tuple[PlacedTool, ...]
    mask_source: str
    notes: tuple[str, ...] = ()  # why a model could not be made


class ToolStage:
    """Instruments of one video stream.

    Args:
        config: settings.
        report: hears what is being built.

    Raises:
        ConfigurationError: an unknown source or alignment, or files that are missing.
    """

    def __init__(
        self, config: ToolsConfig | None = None, report: Report = logging.getLogger(__name__).info
    ) -> None:
        self.config = config or ToolsConfig()
        self._masks = mask_source(self.config.masks, settings=self.config.engine, report=report)
        models: ModelSource = model_source(
            self.config.models,
            self.config.model_path,
            self.config.shaft_diameter,
            self.config.engine,
        )
        self._tracker = ToolTracker(TrackerConfig(max_tools=self.config.max_tools))
        self.supply = ModelSupply(
            models, self.config.alignment, self.config.remake_frames, self.config.in_background
        )
        self._known: dict[int, Known] = {}
        self.reset()

    def backend(self) -> str:
        """What runs the network of the masks; "none" where there is none."""
        return ", ".join(str(engine.info) for engine in self._masks.engines) or "none"

    def reset(self) -> None:
        """Forget all tools; ids start again at 1."""
        self._masks.reset()
        self._tracker.reset()
        self._forget(set(self._known))
        self._unit = 1.0  # metres, as believed, per unit that the stream began with

    def close(self) -> None:
        """End the thread that makes models."""
        self.supply.workshop.close()

    def segment(self, frame: Frame) -> ToolTracks:
        """Instruments in the image of a frame, with their identities."""
        seen = self._masks.segment(frame)
        if seen.usable:
            labels = seen.mask if seen.labels is None else seen.labels
            tracks = with_probabilities(self._tracker.update(labels, frame.stamp), seen)
        else:
            tracks = self._tracker.hold(seen.mask.shape, frame.stamp, seen.reason)
        return replace(tracks, source=self._masks.name)

    def place(self, tracks: ToolTracks, update: SceneUpdate) -> ToolsView:
        """Models and placements of tracked tools.

        Args:
            tracks: of the image.
            update: depth of the same image, whose labels are those of the tracks.
        """
        alive = {tool.id for tool in tracks.tools}
        self._forget(self._known.keys() - alive)
        self._follow(update.unit)
        given = tracks.source == TopicSource.name
        placed = tuple(self._place_one(tool, update, given) for tool in tracks.tools)
        notes = tuple(known.note for known in self._known.values() if known.note)
        return ToolsView(update.frame.stamp, tracks, placed, tracks.source, notes)

    def rehearse(self, update: SceneUpdate, mask: np.ndarray) -> None:
        """Make and place one model of a made-up instrument and forget it; see `rehearsal`.

        Args:
            update: of an image, without a scale or with one.
            mask: (H, W) bool of an instrument in it.
        """
        labels = mask.astype(np.uint8)
        if labels.shape != update.image.shape[:2]:
            labels = cv2.resize(labels, update.image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
        observation = observe(1, replace(update, labels=labels))
        try:
            model = self.supply.models.model(observation)
        except InputError:  # a model source that wants to see more of an instrument
            return
        aligner = make_aligner(self.config.alignment, model)
        aligner.place(observation, aligner.place(observation, None))

    def remake(self) -> int:
        """Have the models of all tools made anew; returns how many. Old ones serve meanwhile."""
        for known in self._known.values():
            known.misfits, known.pause = self.config.remake_frames, 0
        return len(self._known)

    def _follow(self, unit: float) -> None:
        """Where metres have changed, what was measured in them changes too."""
        if unit == self._unit:
            return
        factor, self._unit = unit / self._unit, unit
        for known in self._known.values():
            if known.placement is not None and not known.model.metric:
                known.placement = known.placement.rescaled(factor)
        if self.config.models == "capsule" and not self.config.shaft_diameter:
            self.remake()  # its diameter was measured by depth

    def _forget(self, tools: set[int]) -> None:
        """What is known of these ids; models that were ordered for them are not wanted any more."""
        for tool in tools:
            making = self._known.pop(tool).making
            if making is not None:
                self.supply.workshop.cancel(making)

    def _place_one(self, tool: TrackedTool, update: SceneUpdate, given: bool) -> PlacedTool:
        known = self._known.get(tool.id)
        if known is None:
            known = self._known[tool.id] = Known(believer=Believer(self.config.belief))
        if tool.lost:
            return PlacedTool(tool, known.model, None, known.count, known.believer.belief)
        observation = observe(tool.id, update)
        self.supply.attend(known, observation)
        if known.aligner is not None:
            known.placement = known.aligner.place(observation, known.placement)
            bad = known.placement.iou < self.config.remake_iou
            known.misfits = known.misfits + 1 if bad else 0
        belief = self._believe(tool, known, observation, update, given)
        placement = known.placement if known.aligner is not None else None
        if placement is not None and placement.trusted and not belief.trusted:
            doubt = f"it may be no instrument: {belief.reason}"
            placement = replace(placement, trusted=False, reason=doubt)
        model = known.model if known.aligner is not None else None
        if placement is not None and placement.valid:
            model = model.at(placement.joints)
        return PlacedTool(tool, model, placement, known.count, belief)

    def _believe(
        self,
        tool: TrackedTool,
        known: Known,
        observation: ToolObservation,
        update: SceneUpdate,
        given: bool,
    ) -> Belief:
        """What this image adds to the belief in a tool that is seen."""
        placement = known.placement
        fits = placement is not None and placement.valid
        cues = cues_of(
            observation.mask,
            observation.occluder,
            update.image,
            update.depth.depth,
            tool.probability,
            placement.iou if fits else float("nan"),
        )
        measured = update.depth.source in MEASURED_DEPTH
        return known.believer.look(cues, measured, given)


def with_probabilities(tracks: ToolTracks, seen: ToolMask) -> ToolTracks:
    """The tools with the mean probability of the network over their masks, where there is one."""
    if seen.probability is None:
        return tracks
    tools = (
        replace(tool, probability=float(seen.probability[tool.mask].mean()))
        if not tool.lost else tool
        for tool in tracks.tools
    )  # fmt: skip
    return replace(tracks, tools=tuple(tools))


def observe(tool: int, update: SceneUpdate) -> ToolObservation:
    """The tool of an id in the pixels of the depth map's camera.

    Depth without scale is left out: models are in metres.
    """
    depth, labels = update.depth, update.labels
    mask = labels == tool
    metric = depth.scale != ScaleSource.RELATIVE
    return ToolObservation(
        mask=mask,
        camera=depth.camera,
        tissue_depth=np.where(labels > 0, np.nan, depth.depth) if metric else None,
        tool_depth=np.where(mask, depth.depth, np.nan) if metric else None,
        occluder=(labels > 0) & (labels != MARGIN) & ~mask,
        image=update.image,
        stamp=depth.stamp,
    )
