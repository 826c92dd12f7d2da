"""Starts the pipeline on the stereo endoscope of a da Vinci Research Kit.

    ros2 launch endosfm3d_ros dvrk.launch.py rig:=jhu_daVinci view:=true

What the arguments mean is decided in `endosfm3d_ros.nodes.node.dvrk`.
"""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch.actions import DeclareLaunchArgument, IncludeLaunchDescription, OpaqueFunction
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration

from endosfm3d_ros.nodes.node import dvrk, launching
from launch import Action, LaunchContext, LaunchDescription

PIPELINE = Path(get_package_share_directory("endosfm3d_ros")) / "launch" / launching.FILE


def actions(context: LaunchContext) -> list[Action]:
    """The pipeline, with the arguments that the rig stands for."""
    launching.refuse_unknown_arguments(context.argv, file=dvrk.FILE, accepted=dvrk.ARGUMENTS)
    value = {name: LaunchConfiguration(name).perform(context) for name in dvrk.ARGUMENTS}
    arguments = dvrk.arguments_of(value).items()
    source = PythonLaunchDescriptionSource(str(PIPELINE))
    return [IncludeLaunchDescription(source, launch_arguments=arguments)]


def generate_launch_description() -> LaunchDescription:
    """Arguments, then everything that they decide."""
    arguments = [
        DeclareLaunchArgument(name, default_value=default, description=meaning)
        for name, (default, meaning) in dvrk.ARGUMENTS.items()
    ]
    return LaunchDescription([*arguments, OpaqueFunction(function=actions)])
