"""Keeps the identity of instruments over a stream of masks."""

from __future__ import annotations

import cv2
import numpy as np

from endosfm3d_ros.tools.segmentation.plausibility import as_labels, implausible
from endosfm3d_ros.tools.tracking.config import TrackerConfig
from endosfm3d_ros.tools.tracking.full_size import (
    bounding_boxes,
    dilated_for_mapping,
    ids_at_full_size,
)
from endosfm3d_ros.tools.tracking.matching import match, quality
from endosfm3d_ros.tools.tracking.regions import Region, regions_of_labels, regions_of_mask
from endosfm3d_ros.tools.tracking.splitting import split_regions
from endosfm3d_ros.tools.tracking.track import Track
from endosfm3d_ros.tools.tracking.types import ToolTracks, TrackedTool

LAST_ID = 254  # of a uint8 label image; 255 is the margin around tools


class ToolTracker:
    """Ids by overlap, motion and the place where a tool enters; memory does not grow.

    Two tools that are one region when they first appear are one tool until they part.
    """

    def __init__(self, config: TrackerConfig | None = None) -> None:
        self.config = config or TrackerConfig()
        self.reset()

    def reset(self) -> None:
        """Forget all tools; ids start again at 1."""
        self._tracks: list[Track] = []
        self._gone: list[Track] = []
        self._last_id = 0
        self._stamp: int | None = None
        self._shape: tuple[int, int] | None = None
        self._excluded: np.ndarray | None = None

    def update(
        self, mask: np.ndarray, stamp: int, size: tuple[int, int] | None = None
    ) -> ToolTracks:
        """Tools after the next image.

        1. Regions of the mask, 2. cut where known tools cross, 3. matched with known tools and
        candidates, 4. loose parts attached, 5. births, 6. deaths.

        Args:
            mask: (h, w) bool or integer labels; more than one label tells tools apart, one does
                not. All others than bool are labels, 0 = tissue.
            stamp: ns; one that goes back resets the tracker.
            size: (W, H) of the image; that of the mask if None.

        Raises:
            InputError: the mask is no mask, see `as_labels`.
        """
        labels = as_labels(mask, size or mask.shape[::-1])
        if self._stamp is not None and stamp < self._stamp:
            self.reset()
        small = self._at_working_size(labels)
        if self._shape is not None and small.shape != self._shape:
            self.reset()  # another camera
        self._stamp, self._shape = stamp, small.shape
        if reason := implausible(labels > 0):
            return self._held(labels.shape, stamp, reason)
        regions = self._regions(small)
        self._follow(regions, stamp)
        born = self._give_ids(stamp)
        died = self._give_up(stamp)
        return self._answer(labels, small, stamp, born, died)

    def hold(self, shape: tuple[int, int], stamp: int, reason: str) -> ToolTracks:
        """Tools after an image of (H, W) whose mask cannot be used: nothing is seen.

        What is excluded from mapping stays what it was.
        """
        return self._held(shape, stamp, reason)

    def _at_working_size(self, labels: np.ndarray) -> np.ndarray:
        height, width = labels.shape
        size = self.config.width, max(1, round(height * self.config.width / width))
        return cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)

    def _regions(self, small: np.ndarray) -> list[Region]:
        values = np.flatnonzero(np.bincount(small.ravel(), minlength=256)[1:])
        if len(values) > 1:
            return regions_of_labels(small, self.config)
        regions = regions_of_mask(small > 0, self.config)
        known = [track for track in self._tracks if track.confirmed]
        expected = [(track.predicted(self._stamp), track.axis_at(self._stamp)) for track in known]
        return split_regions(regions, expected, self.config)

    def _follow(self, regions: list[Region], stamp: int) -> None:
        """Steps 3 and 4: tools choose before candidates do."""
        left = list(regions)
        tools = [track for track in self._tracks if track.confirmed]
        candidates = [track for track in self._tracks if not track.confirmed]
        own = {region.owner: region for region in left if region.owner is not None}
        for k, region in own.items():
            tools[k].seen_at(region, stamp, quality(tools[k], region, stamp, self.config))
        left = [region for region in left if region.owner is None]
        others = [tool for k, tool in enumerate(tools) if k not in own]
        left = self._attach(tools, self._take(others, left, stamp))
        left = self._take(candidates, left, stamp)
        candidates += [Track(region, stamp, self.config) for region in left]
        candidates.sort(key=lambda track: -track.region.area)
        self._tracks = tools + candidates[: self.config.max_candidates]

    def _take(self, tracks: list[Track], regions: list[Region], stamp: int) -> list[Region]:
        """Give each track its region; returns the regions that nobody took."""
        pairs = match(tracks, regions, stamp, self.config)
        for i, j, worth in pairs:
            tracks[i].seen_at(regions[j], stamp, worth)
        matched, taken = {i for i, _, _ in pairs}, {j for _, j, _ in pairs}
        for i, track in enumerate(tracks):
            if i not in matched:
                track.missed()
        return [region for j, region in enumerate(regions) if j not in taken]

    def _attach(self, tools: list[Track], regions: list[Region]) -> list[Region]:
        """Join what lies near a tool and does not come in by itself; returns the rest."""
        rest = []
        for region in regions:
            near = [
                tool
                for tool in tools
                if tool.visible
                and self._one_tool(tool, region)
                and (tool.region.near(self.config.attach) & region.mask).any()
            ]
            if near:
                near[0].region = near[0].region.with_part(region)
            else:
                rest.append(region)
        return rest

    def _one_tool(self, tool: Track, region: Region) -> bool:
        """Whether a region may be a part of a tool, by where both enter."""
        gap = self.config.same_entry * region.mask.shape[1]
        return region.entry is None or tool.region.enters_beside(region, gap)

    def _give_ids(self, stamp: int) -> tuple[int, ...]:
        """Step 5: ripe candidates become tools, as long as there is room, the largest first."""
        ripe = [track for track in self._tracks if not track.confirmed and track.ripe]
        room = self.config.max_tools - sum(track.confirmed for track in self._tracks)
        ripe = sorted(ripe, key=lambda track: -track.region.area)[: max(room, 0)]
        for track in ripe:
            old = self._remembered(track, stamp)
            if old is None:
                track.id = self._new_id()
                continue
            track.id, track.born = old.id, old.born
            self._gone = [other for other in self._gone if other is not old]
            self._tracks = [other for other in self._tracks if other is not old]
        return tuple(track.id for track in ripe)

    def _remembered(self, track: Track, stamp: int) -> Track | None:
        """The tool out of sight that left nearest to where this one came in."""
        if track.entry is None:
            return None
        oldest = stamp - int(self.config.memory * 1e9)
        lost = [other for other in self._tracks if other.confirmed and not other.visible]
        distances = {
            np.linalg.norm(other.entry - track.entry): other
            for other in (*self._gone, *lost)
            if other.entry is not None and other.seen >= oldest
        }
        nearest = min(distances, default=np.inf)
        return distances[nearest] if nearest < self.config.reentry * self.config.width else None

    def _new_id(self) -> int:
        """The next number that nobody has."""
        used = {track.id for track in (*self._tracks, *self._gone)}
        while True:
            self._last_id = self._last_id % LAST_ID + 1
            if self._last_id not in used:
                return self._last_id

    def _give_up(self, stamp: int) -> tuple[int, ...]:
        """Step 6: tools that have not been seen for too long."""
        oldest = stamp - int(self.config.hold * 1e9)
        dead = [track for track in self._tracks if track.seen < oldest]
        self._tracks = [track for track in self._tracks if track.seen >= oldest]
        dead = [track for track in dead if track.confirmed]
        self._gone = (self._gone + dead)[-self.config.max_tools :]
        return tuple(track.id for track in dead)

    def _held(self, shape: tuple[int, int], stamp: int, reason: str) -> ToolTracks:
        for track in self._tracks:
            track.missed()
        died = self._give_up(stamp)
        known = [track for track in self._tracks if track.confirmed]
        tools = tuple(self._tool(track, np.zeros(shape, bool)) for track in known)
        if self._excluded is None or self._excluded.shape != shape:
            self._excluded = np.zeros(shape, bool)
        ids = np.zeros(shape, np.uint8)
        nothing = np.zeros(shape, bool)
        return ToolTracks(tools, ids, nothing, self._excluded, (), died, stamp, False, reason)

    def _answer(
        self,
        labels: np.ndarray,
        small: np.ndarray,
        stamp: int,
        born: tuple[int, ...],
        died: tuple[int, ...],
    ) -> ToolTracks:
        """Everything at the size of the image, with the image's own outlines."""
        self._excluded = dilated_for_mapping(small > 0, labels.shape, self.config)
        ids = np.zeros_like(small)
        known = [track for track in self._tracks if track.confirmed]
        for track in known:
            if track.visible:
                ids[track.region.mask] = track.id
        ids = ids_at_full_size(ids, labels > 0)
        boxes = bounding_boxes(ids)
        tools = []
        for track in known:
            mask = ids == track.id
            if track.id in boxes:
                track.bbox = boxes[track.id]
            tools.append(self._tool(track, mask))
        return ToolTracks(tuple(tools), ids, labels > 0, self._excluded, born, died, stamp)

    @staticmethod
    def _tool(track: Track, mask: np.ndarray) -> TrackedTool:
        score = float(np.clip(track.score, 0, 1))
        return TrackedTool(track.id, mask, track.bbox, score, track.born, lost=not mask.any())
