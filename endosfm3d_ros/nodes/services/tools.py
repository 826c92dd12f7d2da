"""Service that has the models of instruments made anew, when somebody sees that they are wrong."""

from __future__ import annotations

from std_srvs.srv import Trigger

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.nodes.services.between_frames import BetweenFrames
from endosfm3d_ros.pipeline.pipeline import Pipeline


def offer_tool_services(services: BetweenFrames) -> None:
    """`~/remake_tools`."""
    services.add(Trigger, "~/remake_tools", lambda request, between: between(remake))


def remake(pipeline: Pipeline) -> str:
    """What happens now.

    Raises:
        ConfigurationError: no instruments are looked for.
    """
    if pipeline.tools is None:
        raise ConfigurationError(
            "no instruments are looked for: set the parameter tools to another than off"
        )
    return f"{pipeline.tools.remake()} models are made anew"
