"""Masks from the best source that a stream can feed."""

from __future__ import annotations

import logging

from endosfm3d_ros.engines import Engine, EngineSettings
from endosfm3d_ros.engines.progress import Report
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.tools.segmentation.colour import ColourSource
from endosfm3d_ros.tools.segmentation.network import NetworkSource
from endosfm3d_ros.tools.segmentation.topic import TopicSource
from endosfm3d_ros.tools.segmentation.types import ToolMask
from endosfm3d_ros.types import Frame

log = logging.getLogger(__name__)


class AutomaticSource:
    """Masks that come with the images; for images without one those of a network, or of colour.

    Masks that come more rarely than images are no reason to know nothing between them.

    Args:
        model: folder of a segmentation network; see `NetworkSource`.
        settings: of its engine.
        report: hears what is being built.

    Raises:
        ConfigurationError: a network is named and cannot be used.
    """

    def __init__(
        self,
        model: str = "",
        settings: EngineSettings | None = None,
        report: Report = log.info,
    ) -> None:
        self._given = TopicSource()
        self._own = _own_source(model, settings, report)
        self.reset()

    @property
    def name(self) -> str:
        """Of the source in use."""
        return self._chosen.name

    @property
    def engines(self) -> tuple[Engine, ...]:
        """What runs the network, where the source in use has one."""
        return self._chosen.engines

    def reset(self) -> None:
        """Forget the stream."""
        self._own.reset()
        self._chosen = self._own

    def segment(self, frame: Frame) -> ToolMask:
        """The mask of the frame by the source in use."""
        self._chosen = self._own if frame.tool_labels is None else self._given
        return self._chosen.segment(frame)


def _own_source(
    model: str, settings: EngineSettings | None, report: Report
) -> NetworkSource | ColourSource:
    try:
        return NetworkSource(model, settings, report)
    except ConfigurationError:
        if model:
            raise
        return ColourSource()
