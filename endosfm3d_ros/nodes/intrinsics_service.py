"""`~/set_intrinsics_mode`: how a given calibration is used, changed between two frames."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.node import Node
from rclpy.task import Future

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.live import LivePipeline
from endosfm3d_ros.pipeline import Pipeline
from endosfm3d_ros.srv import SetIntrinsicsMode


class IntrinsicsService:
    """Offers the service; the estimator is touched between frames only.

    Args:
        node: creates the service.
        live: what runs now; None while the node is not active.
    """

    def __init__(self, node: Node, live: Callable[[], LivePipeline | None]) -> None:
        self._node = node
        self._live = live
        self._service = node.create_service(
            SetIntrinsicsMode, "~/set_intrinsics_mode", self._on_request
        )

    def destroy(self) -> None:
        """Take the service down."""
        self._node.destroy_service(self._service)

    async def _on_request(
        self, request: SetIntrinsicsMode.Request, response: SetIntrinsicsMode.Response
    ) -> SetIntrinsicsMode.Response:
        live = self._live()
        if live is None:
            response.success, response.message = False, "the node is not active"
            return response
        done = Future(executor=self._node.executor)
        live.between_frames(lambda pipeline: done.set_result(set_mode(pipeline, request.mode)))
        response.success, response.message = await done
        return response


def set_mode(pipeline: Pipeline, mode: str) -> tuple[bool, str]:
    """(success, sentence)."""
    try:
        pipeline.sfm.set_intrinsics_mode(mode)
    except ConfigurationError as error:
        return False, str(error)
    return True, f"intrinsics mode is '{mode}'"
