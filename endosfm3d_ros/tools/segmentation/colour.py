"""Instruments by colour: no weights, no graphics card, a few milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from endosfm3d_ros.tools.segmentation.plausibility import implausible, unlit
from endosfm3d_ros.tools.segmentation.redness import code_of, redness_codes
from endosfm3d_ros.tools.segmentation.regions import Region, disc, find_regions
from endosfm3d_ros.tools.segmentation.tissue_colour import (
    SceneColour,
    TissueColour,
    TissueColourConfig,
)
from endosfm3d_ros.tools.segmentation.types import ToolMask
from endosfm3d_ros.types import Frame


@dataclass(frozen=True)
class ColourConfig:
    """Lengths in pixels at working width; redness as log(R / G).

    Values marked * trade missed tools against false ones. They were set by hand on clips of two
    cameras with tools (one bluish, one neutral) and one of pale, wet tissue without any: each is
    in the middle of what keeps false area below 2 % of the latter. Moving one of them by 20 %
    keeps the mean overlap above 0.75 on the former and false area below 2 %.
    """

    width: int = 320  # working width; jaws of 5 mm are 8 px wide there
    share: float = 0.45  # * of the way from lamp to tissue up to which a pixel is no tissue
    grow_share: float = 0.7  # * the same between parts of one tool, which mirror tissue
    step: float = 0.22  # * at the boundary of a new tool; sheen on tissue mostly has 0.05 to 0.19
    held_step: float = 0.10  # of a region that was tool before: twice the noise of a ring's mean
    min_area: float = 0.004  # of the image; a jaw at arm's length
    held_area: float = 0.002
    part_area: float = 0.001  # of a part near a tool
    glare: tuple[int, float] = (225, 0.25)  # grey level, and share of it that no such part has
    reach: int = 45  # px; parts this near (half of it) belong to a tool: a wrist is 40 px long
    bridge: int = 31  # px; dark gaps that are filled between parts
    border: int = 6  # px; cameras frame the picture with up to 4 dark px
    dark: int = 16  # grey levels below which colour is noise
    lit: tuple[int, int] = (60, 235)  # grey levels from which colours are learnt
    tissue: TissueColourConfig = field(default_factory=TissueColourConfig)


class ColourSource:
    """Finds what has not the colour of tissue, ends sharply and comes in from the image border.

    Limits. Taken for metal where it ends sharply at the border: tissue that is hardly redder than
    the lamp (bare fat, bone, bile, overexposed walls, all tissue under a green cast of 20 %); a
    frame of such tissue alone is called unusable. Missed: tools that do not reach the border of
    the image, so all tools in a round field of view, and needles, clips and gauze; tools covered
    with blood or in smoke; black plastic in the dark; red and orange plastic. Found in part: dark
    wrists and jaws that mirror tissue.
    """

    name = "colour"
    engines = ()

    def __init__(self, config: ColourConfig | None = None) -> None:
        self.config = config or ColourConfig()
        self._tissue = TissueColour(self.config.tissue)
        self._before: np.ndarray | None = None

    def reset(self) -> None:
        """Forget the clip."""
        self._tissue.reset()
        self._before = None

    def segment(self, frame: Frame) -> ToolMask:
        """Tools in the image.

        1. Redness at working size, 2. what it is in tissue and in the lamp's light, 3. regions
        without it, 4. those that are tools, 5. the gaps between their parts.
        """
        image, config = frame.image, self.config
        if reason := unlit(image):
            return self._unusable(frame, reason)
        small = self._at_working_size(image)
        if self._before is not None and self._before.shape != small.shape[:2]:
            self._before = None
        codes = redness_codes(small)
        red, green, blue = cv2.split(small)
        brightest = cv2.max(cv2.max(red, green), blue)
        darkest = cv2.min(cv2.min(red, green), blue)
        lit = (brightest > config.lit[0]) & (darkest < config.lit[1])
        colour = self._tissue.update(codes, lit, config.share)
        if colour is None:
            return self._unusable(frame, "tissue is not redder than the light: no colour cue")
        tools = self._tools(codes, brightest, colour)
        if reason := implausible(tools):
            return self._unusable(frame, reason)
        self._before = tools
        large = cv2.resize(tools.astype(np.uint8) * 255, image.shape[1::-1])
        return ToolMask(large > 127, self.name, frame.stamp)

    def _at_working_size(self, image: np.ndarray) -> np.ndarray:
        width = self.config.width
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)

    def _unusable(self, frame: Frame, reason: str) -> ToolMask:
        self._before = None
        return ToolMask.unusable(frame.image.shape[:2], self.name, frame.stamp, reason)

    def _tools(self, codes: np.ndarray, brightest: np.ndarray, colour: SceneColour) -> np.ndarray:
        """(h, w) bool at working size."""
        config = self.config
        candidates = (codes < code_of(colour.between(config.share))) & (brightest > config.dark)
        candidates = cv2.morphologyEx(candidates.astype(np.uint8), cv2.MORPH_OPEN, disc(5))
        glare = (brightest >= config.glare[0]).astype(np.uint8)
        before = None if self._before is None else self._before.astype(np.uint8)
        smallest = config.part_area * codes.size
        labels, regions = find_regions(candidates, codes, glare, before, smallest, config.border)
        tools = self._from_border(labels, regions)
        if not tools.any():
            return tools
        tools |= self._parts_near(tools, labels, regions)
        return self._filled(tools, codes < code_of(colour.between(config.grow_share)))

    def _from_border(self, labels: np.ndarray, regions: list[Region]) -> np.ndarray:
        """Regions that come in from the border and end sharply."""
        chosen = [
            region.label
            for region in regions
            if region.at_border and self._sharp(region) and self._large(region, labels.size)
        ]
        return _members(labels, chosen)

    def _parts_near(
        self, tools: np.ndarray, labels: np.ndarray, regions: list[Region]
    ) -> np.ndarray:
        """Sharp regions near a tool that are no highlights: jaws beyond a dark wrist."""
        reach = np.ones((self.config.reach, self.config.reach), np.uint8)
        near = cv2.dilate(tools.astype(np.uint8), reach) > 0
        touched = np.unique(labels[near])
        dull = [region for region in regions if region.glare < self.config.glare[1]]
        sharp = [region.label for region in dull if self._sharp(region)]
        return _members(labels, np.intersect1d(touched, sharp))

    def _sharp(self, region: Region) -> bool:
        return region.step > (self.config.held_step if region.held > 0.5 else self.config.step)

    def _large(self, region: Region, size: int) -> bool:
        share = self.config.held_area if region.held > 0.5 else self.config.min_area
        return region.area > share * size

    def _filled(self, tools: np.ndarray, not_tissue: np.ndarray) -> np.ndarray:
        """With the gaps between parts, where these are not plainly tissue; smooth outline."""
        bridge = np.ones((self.config.bridge, self.config.bridge), np.uint8)
        plane = tools.astype(np.uint8)
        gaps = cv2.morphologyEx(plane, cv2.MORPH_CLOSE, bridge) & not_tissue.astype(np.uint8)
        joined = cv2.morphologyEx(plane | gaps, cv2.MORPH_CLOSE, disc(5))
        return cv2.medianBlur(joined, 5) > 0


def _members(labels: np.ndarray, chosen: list[int] | np.ndarray) -> np.ndarray:
    """(H, W) bool: pixels of the chosen labels."""
    table = np.zeros(int(labels.max()) + 1, bool)
    table[np.asarray(chosen, int)] = True
    return table[labels]
