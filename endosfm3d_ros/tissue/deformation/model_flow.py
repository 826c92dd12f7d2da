"""Where the image shows what the map predicts: optical flow from the render to the image.

Measured against the map, not against the last image, so errors do not add up from frame to frame.
Instruments are painted over with the render before the flow is computed: what is not there cannot
drag its surroundings along.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.tissue.appearance.rendering import Rendering
from endosfm3d_ros.tissue.observation import Observation

LEAST_SIDE = 48  # px of a picture that the flow is computed of


@dataclass(frozen=True)
class FlowConfig:
    """Dense inverse search (Kroeger et al. 2016) at the working size."""

    preset: int = cv2.DISOPTICAL_FLOW_PRESET_FAST
    texture: float = 40.0  # squared grey gradient at which a flow vector counts half
    texture_blur: float = 3.0  # px
    mismatch: float = 30.0  # grey levels left after the flow; more is not the same tissue
    confirmed: float = 12.0  # grey levels left where a pixel confirms that this is the place
    largest: float = 24.0  # px; more is a failure


@dataclass(frozen=True)
class FlowField:
    """Where the pixels of the view are in the image."""

    flow: np.ndarray  # (H, W, 2) float32 px
    weight: np.ndarray  # (H, W) float32 0..1
    support: float  # share of the common view that the image confirms


class ModelFlow:
    """Flow between the predicted view and the image."""

    def __init__(self, config: FlowConfig) -> None:
        self.config = config
        self._dis = cv2.DISOpticalFlow_create(config.preset)

    def measure(self, view: Rendering, seen: Observation) -> FlowField:
        """Displacement of every pixel of the view, and what it is worth."""
        c = self.config
        # 1 two images that differ by motion only
        model = cv2.cvtColor(_bytes(view.rgb), cv2.COLOR_RGB2GRAY)
        model = np.where(view.alpha > 0.5, model, seen.grey)
        image = np.where(seen.geometry, seen.grey, model)
        flow = self._calculated(model, image)
        # 2 believed where both ends are tissue, textured, and alike
        grid = np.indices(model.shape[::-1], np.float32).T
        there = grid + flow
        ends = cv2.remap(
            np.dstack([image, 255 * seen.geometry.astype(np.uint8), image]),
            there[..., 0], there[..., 1], cv2.INTER_LINEAR,
        )  # fmt: skip
        left = np.abs(ends[..., 0].astype(np.float32) - model)
        good = (left < c.mismatch) & (ends[..., 1] > 250) & seen.geometry & (view.alpha > 0.5)
        good &= (np.abs(flow[..., 0]) < c.largest) & (np.abs(flow[..., 1]) < c.largest)
        common = seen.geometry & (view.alpha > 0.5)
        support = float((left[common] < c.confirmed).mean()) if common.any() else 0.0
        return FlowField(flow, good * self._texture(model), support)

    def _calculated(self, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """(H, W, 2) float32; small pictures are continued beyond their rim.

        OpenCV's search writes beyond its own pyramid where a side is shorter than that.
        """
        height, width = before.shape
        more = max(0, LEAST_SIDE - height), max(0, LEAST_SIDE - width)
        if any(more):
            before, after = (
                cv2.copyMakeBorder(x, 0, more[0], 0, more[1], cv2.BORDER_REPLICATE)
                for x in (before, after)
            )
        return self._dis.calc(before, after, None)[:height, :width]

    def _texture(self, grey: np.ndarray) -> np.ndarray:
        """(H, W) float32 0..1 from the gradient energy around a pixel."""
        across = cv2.Sobel(grey, cv2.CV_32F, 1, 0, scale=1 / 8)
        down = cv2.Sobel(grey, cv2.CV_32F, 0, 1, scale=1 / 8)
        energy = cv2.GaussianBlur(across**2 + down**2, (0, 0), self.config.texture_blur)
        return energy / (energy + self.config.texture)


def _bytes(rgb: np.ndarray) -> np.ndarray:
    return np.clip(rgb * 255 + 0.5, 0, 255).astype(np.uint8)
