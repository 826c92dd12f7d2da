"""What is wrong with the picture, by name: so that nothing is learnt from it.

Most causes are changes: smoke makes the same tissue paler, a fouled lens blurs a part of it. So
each picture is compared with what healthy ones before it were like.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from endosfm3d_ros.types import Frame

Cause = Literal["", "black", "dark", "frozen", "smoky", "bloody", "defocused", "fouled"]
CAUSES: dict[str, str] = {
    "black": "is black",
    "dark": "is dark",
    "frozen": "is frozen",
    "smoky": "shows smoke",
    "bloody": "shows blood",
    "defocused": "is out of focus",
    "fouled": "is fouled",
}


@dataclass(frozen=True)
class DegradationConfig:
    """Grey levels of 255; shares of what healthy pictures were like."""

    width: int = 160  # px at which pictures are looked at
    blocks: int = 4  # to a side, for what hits a part of the picture
    every: float = 0.06  # s between two pictures that are looked at
    seconds: float = 0.2  # that a cause lasts before it is named, or is gone before it ends
    learnt: float = 0.5  # s of healthy pictures before changes are judged
    memory: float = 3.0  # s over which healthy pictures are remembered
    usual: float = 20.0  # s after which a change is how things are
    black: float = 20.0  # the brightest hundredth
    dark: float = 40.0  # the brightest tenth ...
    darker: float = 0.35  # ... or this share of what it was
    haze: float = 20.0  # that the darkest channel rises by
    paler: float = 0.8  # share of the saturation that is left in smoke
    red: float = 0.6  # of the picture, in which only red is left
    redder: float = 0.3  # of the picture, more than before
    blurred: float = 0.6  # share of the sharpness that is left
    everywhere: float = 0.85  # of the blocks: out of focus; less of them: fouled
    somewhere: float = 0.2


@dataclass(frozen=True)
class Looks:
    """A picture in numbers."""

    brightest: float  # hundredth
    bright: float  # tenth
    haze: float  # darkest channel, median
    saturation: float  # mean, 0..1
    red: float  # share of the picture
    sharpness: np.ndarray  # (blocks, blocks) fine over coarse detail


class PictureWatch:
    """`look` at every frame; `cause` says what is wrong, "" where nothing is."""

    def __init__(self, config: DegradationConfig | None = None) -> None:
        self.config = config or DegradationConfig()
        self.reset()

    def reset(self) -> None:
        """The next picture is a first one."""
        self.cause: Cause = ""
        self._healthy: Looks | None = None
        self._seen = 0.0  # s of healthy pictures
        self._image: np.ndarray | None = None
        self._stamp = 0
        self._suspect: Cause = ""
        self._since = 0  # stamp of its first picture

    def look(self, frame: Frame) -> Cause:
        """The cause after this frame."""
        if self._stamp and 0 <= (frame.stamp - self._stamp) * 1e-9 < self.config.every:
            return self.cause
        seconds = min(max(0.0, (frame.stamp - self._stamp) * 1e-9), 1.0) if self._stamp else 0.0
        looks, found = self._looks(frame.image), self._frozen(frame.image)
        self._image, self._stamp = frame.image, frame.stamp
        if not found:
            found = _absolute(looks, self.config) or self._changed(looks)
        # 1 what lasts is named
        if found != self._suspect:
            self._suspect, self._since = found, frame.stamp
        lasted = (frame.stamp - self._since) * 1e-9
        if lasted >= self.config.seconds:
            self.cause = found
        # 2 healthy pictures are remembered, and what lasts for long is how things are
        if not found or lasted > self.config.usual:
            self._remember(looks, seconds)
        return self.cause

    def _frozen(self, image: np.ndarray) -> Cause:
        """Sensors have noise: no two live pictures are the same."""
        before = self._image
        same = before is not None and before.shape == image.shape
        return "frozen" if same and np.array_equal(before, image) else ""

    def _looks(self, image: np.ndarray) -> Looks:
        c = self.config
        height = max(c.blocks, round(image.shape[0] * c.width / image.shape[1]))
        small = cv2.resize(image, (c.width, height), interpolation=cv2.INTER_AREA)
        channels = small.astype(np.float32)
        top, bottom = channels.max(axis=-1), channels.min(axis=-1)
        lit = top > c.black
        saturation = float(((top - bottom)[lit] / top[lit]).mean()) if lit.any() else 0.0
        red = (channels[..., 0] > 60) & (channels[..., 1:].max(axis=-1) < 0.3 * channels[..., 0])
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        return Looks(
            float(np.percentile(top, 99)), float(np.percentile(top, 90)),
            float(np.median(bottom)), saturation, float(red.mean()), _sharpness(grey, c.blocks),
        )  # fmt: skip

    def _changed(self, looks: Looks) -> Cause:
        c, healthy = self.config, self._healthy
        if healthy is None or self._seen < c.learnt:
            return ""
        if looks.bright < c.darker * healthy.bright:
            return "dark"
        if looks.red > max(c.red, healthy.red + c.redder):
            return "bloody"
        paler = looks.saturation < c.paler * healthy.saturation
        if paler and looks.haze > healthy.haze + c.haze:
            return "smoky"
        blurred = float((looks.sharpness < c.blurred * healthy.sharpness).mean())
        if blurred >= c.everywhere:
            return "defocused"
        return "fouled" if blurred >= c.somewhere else ""

    def _remember(self, looks: Looks, seconds: float) -> None:
        self._seen += seconds
        if self._healthy is None:
            self._healthy = looks
            return
        share = 1 - float(np.exp(-seconds / self.config.memory))
        self._healthy = Looks(*(
            (1 - share) * before + share * now
            for before, now in zip(vars(self._healthy).values(), vars(looks).values())
        ))  # fmt: skip


def _absolute(looks: Looks, config: DegradationConfig) -> Cause:
    """What needs no comparison."""
    if looks.brightest < config.black:
        return "black"
    return "dark" if looks.bright < config.dark else ""


def _sharpness(grey: np.ndarray, blocks: int) -> np.ndarray:
    """(blocks, blocks) of fine detail over coarse detail, whatever there is to be seen."""
    size = 4 * (grey.shape[1] // 8), 4 * (grey.shape[0] // 8)  # half, to leave sensor noise out
    half = cv2.resize(grey, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    quarter = cv2.resize(half, (size[0] // 4, size[1] // 4), interpolation=cv2.INTER_AREA)
    fine, coarse = (
        cv2.absdiff(cv2.GaussianBlur(x, (0, 0), 0.7), cv2.GaussianBlur(x, (0, 0), 1.4))
        for x in (half, quarter)
    )
    fine, coarse = (
        cv2.resize(x, (blocks, blocks), interpolation=cv2.INTER_AREA) for x in (fine, coarse)
    )
    return fine / (coarse + 1.0)
