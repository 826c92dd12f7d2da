"""`endosfm3d demo`: the whole chain on a generated clip, with a picture at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for clip, bag, log and picture.")] = Path(
        "out/demo"
    ),
    frames: Annotated[int, typer.Option(min=5, help="Length of the clip at 10 fps.")] = 40,
    scene: Annotated[str, typer.Option(help="Scene of the simulator.")] = "moving",
    depth_source: Annotated[
        str, typer.Option(help="auto: both eyes; endosfm3d: one eye and the network.")
    ] = "auto",
) -> None:
    """Generate a clip, play it as a bag through the real node over DDS, show what came back.

    Example: endosfm3d demo --frames 100
    """
    import json

    import cv2
    import rclpy
    from rich.console import Console
    from rich.progress import Progress

    from endosfm3d_ros.cli.convert import write_bag
    from endosfm3d_ros.cli.main import NOTICE
    from endosfm3d_ros.datasets.clip import ClipSequence
    from endosfm3d_ros.datasets.clip_writer import write_clip
    from endosfm3d_ros.datasets.simulator import SimulatedSequence
    from endosfm3d_ros.nodes import demo as chain
    from endosfm3d_ros.nodes.transport import use_large_messages

    console = Console()
    console.print(NOTICE, style="yellow")
    simulated = SimulatedSequence(scene, frames=frames, fps=10.0)
    with Progress(console=console) as progress:
        task = progress.add_task("rendering a clip", total=frames)
        advance = lambda count: progress.update(task, completed=count)  # noqa: E731
        write_clip(simulated, out / "clip", force=True, on_frame=advance)
    clip = ClipSequence(out / "clip", start=10**9)
    written = write_bag(clip, out / "bag", "/endoscope", "raw", None, force=True)
    use_large_messages()
    rclpy.init()
    try:
        with Progress(console=console) as progress:
            task = progress.add_task("bag -> node -> depth", total=sum(written.values()))
            heard = chain.play_through_node(
                out / "bag",
                "/endoscope",
                out / "node.log",
                lambda: progress.advance(task),
                depth_source,
            )
    finally:
        rclpy.try_shutdown()
    summary = {
        "frames_sent": frames,
        "depth_images_received": len(heard.depth),
        "poses_received": len(heard.poses),
        "clouds_received": len(heard.clouds),
        **({"latency_p50_ms": round(heard.status.latency_p50_ms, 1)} if heard.status else {}),
        **({"scale_source": heard.status.scale_source} if heard.status else {}),
        **({"networks": heard.status.backend} if heard.status else {}),
        **{name: round(value, 3) for name, value in chain.scores(heard, clip).items()},
    }
    console.print_json(json.dumps(summary))
    if not heard.depth:
        console.print(f"nothing came back; the node's log is {out / 'node.log'}", style="red")
        raise typer.Exit(1)
    cv2.imwrite(str(out / "demo.png"), chain.picture(heard, clip)[..., ::-1])
    console.print(f"picture (image, depth, cloud from the side): {out / 'demo.png'}")
