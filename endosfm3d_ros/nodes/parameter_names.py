"""Parameters that nobody declared are misspelt ones: a default would run in their place."""

from __future__ import annotations

from difflib import get_close_matches

from rclpy.exceptions import ParameterException
from rclpy.node import Node

OF_ROS = ("use_sim_time", "qos_overrides.", "start_type_description_service", "ros_discovery")


def refuse_unknown(node: Node) -> None:
    """Compare what was given on the command line or in a file with what the node has declared.

    Raises:
        ParameterException: an unknown name, with the nearest known one.
    """
    known = list(node._parameters)
    unknown = [
        name
        for name in node._parameter_overrides
        if name not in known and not name.startswith(OF_ROS)
    ]
    if unknown:
        raise ParameterException(f"unknown parameter {describe(unknown[0], known)}", tuple(unknown))


def describe(name: str, known: list[str]) -> str:
    """The name, and the known one that may be meant."""
    near = get_close_matches(name, known, 1)
    return f"'{name}'" + (f": did you mean '{near[0]}'?" if near else ": it is not declared")
