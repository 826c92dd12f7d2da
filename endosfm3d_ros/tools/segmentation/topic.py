"""Masks that come with the image."""

from __future__ import annotations

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.tools.segmentation.plausibility import as_labels, implausible
from endosfm3d_ros.tools.segmentation.types import ToolMask
from endosfm3d_ros.types import Frame

BINARY = 255  # a mask image of 0 and 255 says "tool", not "tool number 255"


class TopicSource:
    """Takes `Frame.tool_labels` as they are.

    Labels stay what they are for the tracker, except in images of 0 and 255 (or bool), which
    tell no tools apart.
    """

    name = "topic"
    engines = ()

    def reset(self) -> None:
        """Nothing is remembered."""

    def segment(self, frame: Frame) -> ToolMask:
        """The mask of the frame; unusable where there is none, or it is no mask."""
        shape = frame.image.shape[:2]
        if frame.tool_labels is None:
            return ToolMask.unusable(shape, self.name, frame.stamp, "no mask came with the image")
        try:
            labels = as_labels(frame.tool_labels, shape[::-1])
        except InputError as error:
            return ToolMask.unusable(shape, self.name, frame.stamp, str(error))
        mask = labels > 0
        if reason := implausible(mask):
            return ToolMask.unusable(shape, self.name, frame.stamp, reason)
        binary = frame.tool_labels.dtype == bool or labels.max() == BINARY
        return ToolMask(mask, self.name, frame.stamp, labels=None if binary else labels)
