"""The page as long as somebody wants it: node, board and server together."""

from __future__ import annotations

from collections.abc import Callable

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from endosfm3d_ros.nodes.view.watcher import RATES, Watcher
from endosfm3d_ros.web.board import Board
from endosfm3d_ros.web.server import PageServer


def show(pipeline: str, image: str, host: str, port: int, said: Callable[[str], None]) -> None:
    """Serve the page until an interrupt.

    Args:
        pipeline: full name of the node to watch.
        image: topic of the eye; empty: what that node listens to.
        host: address to listen on.
        port: of it; 0 takes a free one.
        said: hears the address of the page.

    Raises:
        ConfigurationError: the page cannot be served there.
    """
    board = Board(RATES)
    server = PageServer(board, host, port)
    rclpy.init(args=[])
    try:
        node = Node("endosfm3d_view")
        Watcher(node, board, pipeline, image)
        said(server.address)
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while rclpy.ok():
            executor.spin_once(timeout_sec=0.2)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        server.close()
        rclpy.try_shutdown()
