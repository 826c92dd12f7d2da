"""Where masks come from, behind one interface.

source = mask_source("colour")
mask = source.segment(frame)
"""

from __future__ import annotations

import logging
from typing import Protocol

from endosfm3d_ros.engines import EngineSettings
from endosfm3d_ros.engines.progress import Report
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.tools.segmentation.types import ToolMask
from endosfm3d_ros.types import Frame

log = logging.getLogger(__name__)

SOURCES = ("auto", "topic", "colour", "network")


class MaskSource(Protocol):
    """Says where the instruments are in each image of a stream."""

    name: str

    def reset(self) -> None:
        """Forget the stream."""

    def segment(self, frame: Frame) -> ToolMask:
        """The mask, of the size of the image; never raises for what an image may hold."""


def mask_source(
    name: str,
    model: str = "",
    settings: EngineSettings | None = None,
    report: Report = log.info,
) -> MaskSource:
    """The source of that name.

    Args:
        name: auto, topic, colour or network.
        model: folder of the network and its card; by default where `card.find_model` looks.
        settings: of the network's engine.
        report: hears what is being built, and every few seconds that it still is.

    Raises:
        ConfigurationError: an unknown name, or no usable network.
    """
    if name == "auto":
        from endosfm3d_ros.tools.segmentation.automatic import AutomaticSource

        return AutomaticSource(model, settings, report)
    if name == "topic":
        from endosfm3d_ros.tools.segmentation.topic import TopicSource

        return TopicSource()
    if name == "colour":
        from endosfm3d_ros.tools.segmentation.colour import ColourSource

        return ColourSource()
    if name == "network":
        from endosfm3d_ros.tools.segmentation.network import NetworkSource

        return NetworkSource(model, settings, report)
    raise ConfigurationError(f"mask source '{name}': accepted are {', '.join(SOURCES)}")
