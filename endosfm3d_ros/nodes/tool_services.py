"""Service that has the models of instruments made anew, when somebody sees that they are wrong."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from rclpy.task import Future
from std_srvs.srv import Trigger

from endosfm3d_ros.live import LivePipeline
from endosfm3d_ros.pipeline import Pipeline


class ToolServices:
    """Offers the service; the stage is touched between frames only.

    Args:
        node: creates the service.
        live: what runs now; None while the node is not active.
    """

    def __init__(self, node: Node, live: Callable[[], LivePipeline | None]) -> None:
        self._node = node
        self._live = live
        self._service = node.create_service(Trigger, "~/remake_tools", self._on_request)

    def destroy(self) -> None:
        """Take the service down."""
        self._node.destroy_service(self._service)

    async def _on_request(
        self, request: Trigger.Request, response: Trigger.Response
    ) -> Trigger.Response:
        live = self._live()
        if live is None:
            response.success, response.message = False, "the node is not active"
            return response
        done = Future(executor=self._node.executor)
        live.between_frames(lambda pipeline: done.set_result(remake(pipeline)))
        response.success, response.message = await done
        return response


def remake(pipeline: Pipeline) -> tuple[bool, str]:
    """(success, sentence)."""
    if pipeline.tools is None:
        return False, "no instruments are looked for: set the parameter tools to another than off"
    count = pipeline.tools.remake()
    return True, f"{count} models are made anew"
