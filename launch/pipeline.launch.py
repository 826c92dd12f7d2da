"""Starts the pipeline, optionally with a bag, RViz and a DDS profile for large messages.

On a dVRK `ros2 launch endosfm3d_ros pipeline.launch.py camera_ns:=/jhu_daVinci/left` is enough.
What the arguments mean is decided in `endosfm3d_ros.nodes.node.launching`.
"""

import os
import sys
from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    ExecuteProcess,
    OpaqueFunction,
    RegisterEventHandler,
    SetEnvironmentVariable,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import LifecycleNode, Node

from endosfm3d_ros.nodes.node import launching
from launch import Action, LaunchContext, LaunchDescription

SHARE = Path(get_package_share_directory("endosfm3d_ros"))
RESPAWN_DELAY = 2.0  # s


def actions(context: LaunchContext) -> list[Action]:
    """The node, the bag player and RViz, with every argument resolved."""
    launching.refuse_unknown_arguments(context.argv)
    value = {name: LaunchConfiguration(name).perform(context) for name in launching.ARGUMENTS}
    plan = launching.plan(value, SHARE, os.environ)
    node = LifecycleNode(
        package="endosfm3d_ros",
        executable="pipeline",
        name=launching.NAME,
        namespace=plan.namespace,
        output="screen",
        parameters=[plan.params_file, plan.overrides],
        remappings=plan.remappings,
        ros_arguments=plan.ros_arguments,
        respawn=plan.respawn,
        respawn_delay=RESPAWN_DELAY,
    )
    variables = [SetEnvironmentVariable(*each) for each in plan.environment.items()]
    ends = RegisterEventHandler(OnProcessExit(target_action=node, on_exit=end_with_node))
    return [
        *variables,
        *([] if plan.respawn else [ends]),
        node,
        *(bag_when_active(plan) if plan.bag else []),
        *([rviz(plan)] if plan.rviz else []),
        *([view(plan)] if plan.view else []),
    ]


def end_with_node(event: ProcessExited, context: LaunchContext) -> list[Action]:
    """The end of the node is the end of everything; a failure makes the launch fail."""
    if context.is_shutdown:
        return []
    if event.returncode:
        raise RuntimeError(f"the pipeline ended with exit code {event.returncode}")
    return [EmitEvent(event=Shutdown(reason="the pipeline ended"))]


def bag_when_active(plan: launching.Plan) -> list[Action]:
    """Plays once the node has become active: before, images would only be missed."""
    wait = ExecuteProcess(
        cmd=[sys.executable, "-c", launching.WAIT, plan.node],
        name="wait_active",
    )
    play = ExecuteProcess(cmd=plan.bag, output="screen")

    def begin(event: ProcessExited, context: LaunchContext) -> list[Action]:
        return [play] if event.returncode == 0 and not context.is_shutdown else []

    return [RegisterEventHandler(OnProcessExit(target_action=wait, on_exit=begin)), wait]


def rviz(plan: launching.Plan) -> Action:
    """RViz with the package's configuration."""
    return Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", str(SHARE / "config" / "endoscope.rviz")],
        parameters=[{"use_sim_time": plan.sim_time}],
    )


def view(plan: launching.Plan) -> Action:
    """The page; its address is in the output."""
    return ExecuteProcess(
        cmd=[sys.executable, "-c", launching.VIEW, *plan.view], name="view", output="screen"
    )


def generate_launch_description() -> LaunchDescription:
    """Arguments, then everything that they decide."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=meaning)
        for name, (default, meaning) in launching.ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=actions)])
