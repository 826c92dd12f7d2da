"""`endosfm3d play`: a bag onto the ROS graph, without `ros2 bag`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

READY = 600.0  # s that a node may take to become active: it may build engines first


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(play)


def play(
    bag: Annotated[Path, typer.Argument(help="A rosbag2 bag (folder, .mcap or .db3 file).")],
    rate: Annotated[float, typer.Option(help="Times the recorded speed.")] = 1.0,
    loop: Annotated[int, typer.Option(help="How often; 0 for ever.")] = 1,
    clock: Annotated[float, typer.Option(help="Hz of /clock; 0 for none.")] = 0.0,
    topic: Annotated[list[str] | None, typer.Option(help="Only this topic; repeatable.")] = None,
    node: Annotated[
        str, typer.Option(help="Play when this lifecycle node is active; empty: at any listener.")
    ] = "/endosfm3d",
    wait: Annotated[float, typer.Option(help="Seconds to wait for that node to appear.")] = 5.0,
) -> None:
    """Publish the messages of a bag at their times.

    Example: endosfm3d play scene_bag --rate 0.5 --loop 0 --clock 100
    """
    import rclpy
    from rich.progress import Progress

    from endosfm3d_ros.nodes.offline.activity import NodeAbsent, wait_until_active
    from endosfm3d_ros.nodes.offline.player import BagPlayer, PlayerConfig
    from endosfm3d_ros.nodes.system.dds_profile import prepare_environment

    config = PlayerConfig(rate=rate, loops=loop, clock=clock, topics=tuple(topic or ()))
    prepare_environment()
    rclpy.init()
    owner = rclpy.create_node("endosfm3d_player")
    try:
        player = BagPlayer(owner, bag, config)
        for name in player.topics:
            typer.echo(name)
        for fault in player.faults:
            typer.echo(f"warning: {fault}", err=True)
        try:
            if node:
                wait_until_active(node, READY, appears_within=wait)
        except NodeAbsent as error:
            typer.echo(f"{error}: playing for whoever listens", err=True)
        player.wait_until_connected(wait)
        with Progress() as progress:
            task = progress.add_task("playing", total=player.messages * loop or None)
            player.play(lambda name, stamp: progress.advance(task), lambda: not rclpy.ok())
    finally:
        owner.destroy_node()
        rclpy.try_shutdown()
