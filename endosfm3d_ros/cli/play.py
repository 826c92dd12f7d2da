"""`endosfm3d play`: a bag onto the ROS graph, without `ros2 bag`."""

from __future__ import annotations

from pathlib import Path
from time import sleep
from typing import Annotated

import typer

SETTLE = 0.5  # s from the first listener to the first message: the others are about to follow


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(play)


def play(
    bag: Annotated[Path, typer.Argument(help="A rosbag2 bag (folder, .mcap or .db3 file).")],
    rate: Annotated[float, typer.Option(help="Times the recorded speed.")] = 1.0,
    loop: Annotated[int, typer.Option(help="How often; 0 for ever.")] = 1,
    clock: Annotated[float, typer.Option(help="Hz of /clock; 0 for none.")] = 0.0,
    topic: Annotated[list[str] | None, typer.Option(help="Only this topic; repeatable.")] = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for a listener.")] = 5.0,
) -> None:
    """Publish the messages of a bag at their times.

    Example: endosfm3d play scene_bag --rate 0.5 --loop 0 --clock 100
    """
    import rclpy
    from rich.progress import Progress

    from endosfm3d_ros.nodes.player import BagPlayer, PlayerConfig
    from endosfm3d_ros.nodes.transport import use_large_messages

    config = PlayerConfig(rate=rate, loops=loop, clock=clock, topics=tuple(topic or ()))
    use_large_messages()
    rclpy.init()
    node = rclpy.create_node("endosfm3d_player")
    try:
        player = BagPlayer(node, bag, config)
        for name in player.topics:
            typer.echo(name)
        for fault in player.faults:
            typer.echo(f"warning: {fault}", err=True)
        if player.wait_for_listener(None, wait):
            sleep(SETTLE)
        with Progress() as progress:
            task = progress.add_task("playing", total=player.messages * loop or None)
            player.play(lambda name, stamp: progress.advance(task), lambda: not rclpy.ok())
    finally:
        node.destroy_node()
        rclpy.try_shutdown()
