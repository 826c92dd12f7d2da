"""Instruments painted over simulated tissue."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.types import Frame

STEEL = np.array([150, 156, 165], np.float32)


def paint_shaft(image, start, end, width, color=STEEL):
    """The image with a shaded cylinder from start to end, and its (H, W) bool mask."""
    mask = np.zeros(image.shape[:2], np.uint8)
    cv2.line(mask, start, end, 1, width)
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 3) / (width / 2)  # 0 rim .. 1 axis
    shade = 0.45 + 0.55 * np.sqrt(np.clip(depth, 0, 1))
    shaft = shade[..., None] * color
    shaft[depth > 0.9] = 250  # the lamp's reflection along the axis
    shaft += np.random.default_rng(0).normal(0, 2, shaft.shape)
    painted = np.where(mask[..., None] > 0, np.clip(shaft, 0, 255), image).astype(np.uint8)
    return cv2.GaussianBlur(painted, (3, 3), 0), mask > 0


@pytest.fixture(scope="session")
def tissue():
    """Five (256, 320, 3) images of moving tissue without tools, none of it as pale as metal."""
    sequence = SimulatedSequence("breathing", frames=5, width=320, height=256, fps=2.0, seed=3)
    return [sequence[i].image for i in range(len(sequence))]


@pytest.fixture(scope="session")
def two_tools(tissue):
    """An image with two shafts from the left and from below right, and their mask."""
    image, left = paint_shaft(tissue[0], (-20, 90), (120, 130), 40)
    image, right = paint_shaft(image, (330, 240), (190, 150), 52, 0.8 * STEEL)
    return image, left | right


@pytest.fixture
def frame():
    """Makes a frame of an image."""
    return lambda image, **fields: Frame(stamp=7, image=image, **fields)


@pytest.fixture
def paint():
    """Paints a shaft; see `paint_shaft`."""
    return paint_shaft
