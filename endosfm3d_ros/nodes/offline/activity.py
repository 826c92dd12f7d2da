"""Waiting for a lifecycle node to be active, which this package's node is when it is ready.

A transition that is announced may go unheard while the two processes still discover each other, so
the state is asked for.
"""

from __future__ import annotations

import math
import signal
import sys
from collections.abc import Callable
from time import monotonic

import rclpy
from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.signals import SignalHandlerOptions

from endosfm3d_ros.errors import EndoError

ASK_AGAIN = 1.0  # s; a question that was put before the node listened is lost


class NodeAbsent(EndoError):
    """There is no node of that name."""


def wait_until_active(
    name: str,
    timeout: float,
    appears_within: float | None = None,
    alive: Callable[[], bool] = lambda: True,
) -> None:
    """Return when a lifecycle node is active.

    Args:
        name: with its namespace.
        timeout: s at most.
        appears_within: s until the node must at least exist; None: `timeout`.
        alive: asked again and again; False ends the waiting.

    Raises:
        NodeAbsent: it does not appear in time.
        EndoError: it is not active in time, with what it is instead.
    """
    node = rclpy.create_node("endosfm3d_waiting", start_parameter_services=False)
    client = node.create_client(GetState, f"{name}/get_state")
    begin = monotonic()
    try:
        patience = timeout if appears_within is None else appears_within
        while not client.service_is_ready():
            if monotonic() - begin > patience or not alive():
                when = f"after {patience:.0f} s" if alive() else "any more"
                raise NodeAbsent(f"there is no node {name} {when}")
            rclpy.spin_once(node, timeout_sec=0.05)
        said = "it does not answer yet"
        while monotonic() - begin < timeout:
            future = client.call_async(GetState.Request())
            rclpy.spin_until_future_complete(node, future, timeout_sec=ASK_AGAIN)
            if future.done():
                state = future.result().current_state
                if state.id == State.PRIMARY_STATE_ACTIVE:
                    return
                said = f"it is {state.label}"
                rclpy.spin_once(node, timeout_sec=0.05)
            if not alive():
                raise EndoError(f"the node {name} has ended")
        raise EndoError(f"the node {name} is not active after {timeout:.0f} s: {said}")
    finally:
        node.destroy_node()


def main() -> None:
    """For launch files: waits for the node that is named, for ever; 130 when interrupted."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    rclpy.init(args=[], signal_handler_options=SignalHandlerOptions.NO)
    try:
        wait_until_active(sys.argv[1], math.inf)
    except KeyboardInterrupt:
        sys.exit(130)
    finally:
        rclpy.shutdown()
