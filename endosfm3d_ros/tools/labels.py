"""Instrument labels in the pixels of other stages."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from endosfm3d_ros.tools.tracking.types import ToolTracks
from endosfm3d_ros.types import Frame

MARGIN = 255  # label of what is excluded from mapping and is no tool


def labels_at(labels: np.ndarray | None, size: tuple[int, int]) -> np.ndarray | None:
    """(H, W) uint8 labels at (width, height), nearest neighbour; None stays None."""
    if labels is None or labels.shape[::-1] == size:
        return labels
    return cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)


def without_tools(frame: Frame, tracks: ToolTracks) -> Frame:
    """The frame with its instruments labelled, dilated where nothing else may be looked at."""
    labels = tracks.labels.copy()
    labels[tracks.excluded & (labels == 0)] = MARGIN
    return replace(frame, tool_labels=labels)
