"""Waits until a lifecycle node is active: `python -m endosfm3d_ros.nodes.wait_active /endosfm3d`.

A transition that is announced may go unheard while the two processes still discover each other, so
the state is asked for.
"""

from __future__ import annotations

import signal
import sys

import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

PERIOD = 0.2  # s between questions
PATIENCE = 5.0  # s for one answer


def wait_until_active(node: Node, name: str) -> None:
    """Returns when the node of that full name is active; asks for ever."""
    client = node.create_client(GetState, f"{name}/get_state")
    while True:
        if client.wait_for_service(PERIOD):
            answer = client.call_async(GetState.Request())
            rclpy.spin_until_future_complete(node, answer, timeout_sec=PATIENCE)
            heard = answer.result() if answer.done() else None
            if heard is not None and heard.current_state.id == State.PRIMARY_STATE_ACTIVE:
                return
        rclpy.spin_once(node, timeout_sec=PERIOD)


def main() -> None:
    """Exit code 0 when the node is active, 130 when interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    node = rclpy.create_node("wait_active")
    try:
        wait_until_active(node, sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        node.destroy_node()
        rclpy.shutdown()


if __name__ == "__main__":
    main()
