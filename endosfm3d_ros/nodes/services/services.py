"""The services of the node that touch the pipeline: maps, intrinsics, instruments.

They are there as long as the node is, so that a request which is under way in a transition still
finds its way back.
"""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from std_srvs.srv import Trigger

from endosfm3d_ros.files.locations import map_folder
from endosfm3d_ros.nodes.services.between_frames import BetweenFrames
from endosfm3d_ros.nodes.services.intrinsics import offer_intrinsics_service
from endosfm3d_ros.nodes.services.maps import offer_map_services
from endosfm3d_ros.nodes.services.tools import offer_tool_services
from endosfm3d_ros.pipeline.live import LivePipeline


def offer_services(
    node: Node, live: Callable[[], LivePipeline | None], write_flight: Callable[[], str]
) -> BetweenFrames:
    """All of them.

    Args:
        node: creates them.
        live: what runs now; None while the node is not active.
        write_flight: writes what the flight recorder has kept.
    """
    services = BetweenFrames(node, live)
    offer_map_services(services, lambda: map_folder(node.get_parameter("map_folder").value))
    offer_intrinsics_service(services)
    offer_tool_services(services)
    services.add(Trigger, "~/save_flight", lambda request, between: write_flight())
    return services
