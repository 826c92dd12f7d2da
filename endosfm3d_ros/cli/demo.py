"""`endosfm3d demo`: the whole chain on a generated clip, with a picture at the end."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

ENOUGH = 0.95  # share of the frames that come back where all is well

if TYPE_CHECKING:
    from endosfm3d_ros.datasets.clips.sequence import ClipSequence
    from endosfm3d_ros.nodes.offline.demo import Heard


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    out: Annotated[Path, typer.Option(help="Folder for clip, bag, log and picture.")] = Path(
        "out/demo"
    ),
    frames: Annotated[int, typer.Option(min=5, help="Length of the clip at 10 fps.")] = 40,
    scene: Annotated[str, typer.Option(help="Scene of the simulator.")] = "instruments",
    depth_source: Annotated[
        str, typer.Option(help="auto: both eyes; endosfm3d: one eye and the network.")
    ] = "auto",
) -> None:
    """Generate a clip, play it as a bag through the real node over DDS, show what came back.

    Example: endosfm3d demo --frames 100
    """
    import json

    from endosfm3d_ros.cli.main import NOTICE
    from endosfm3d_ros.files.pictures import write_picture
    from endosfm3d_ros.nodes.offline.demo_picture import picture

    console = Console()
    console.print(NOTICE, style="yellow")
    clip = rendered(scene, frames, out / "clip", console)
    heard = played(clip, out, depth_source, console)
    console.print_json(json.dumps(summary(heard, clip)))
    for sentence in shortfall(heard, len(clip)):
        console.print(sentence, style="yellow", highlight=False)
    if not heard.depth:
        console.print(
            f"nothing came back; the node's log is {out / 'node.log'}", style="red", markup=False
        )
        raise typer.Exit(1)
    write_picture(out / "demo.png", picture(heard, clip))
    console.print(f"picture of the scene: {out / 'demo.png'}", markup=False)


def rendered(scene: str, frames: int, folder: Path, console: Console) -> ClipSequence:
    """A clip of a named scene on disk."""
    from endosfm3d_ros.datasets.clips.sequence import ClipSequence
    from endosfm3d_ros.datasets.clips.writer import write_clip
    from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence

    simulated = SimulatedSequence(scene, frames=frames, fps=10.0)
    with Progress(console=console) as progress:
        task = progress.add_task("rendering a clip", total=frames)
        advance = lambda count: progress.update(task, completed=count)  # noqa: E731
        write_clip(simulated, folder, force=True, on_frame=advance)
    return ClipSequence(folder, start=10**9)


def played(clip: ClipSequence, out: Path, depth_source: str, console: Console) -> Heard:
    """What the node answers to the clip, played as a bag."""
    import rclpy

    from endosfm3d_ros.cli.convert import write_bag
    from endosfm3d_ros.nodes.offline.demo import play_through_node
    from endosfm3d_ros.nodes.system.dds_profile import prepare_environment

    camera, bag = "/endoscope", out / "bag"
    written = write_bag(clip, bag, camera, "raw", None, force=True)
    prepare_environment()
    rclpy.init()
    try:
        with Progress(console=console) as progress:
            task = progress.add_task("bag -> node -> scene", total=sum(written.values()))
            advance = lambda: progress.advance(task)  # noqa: E731
            log = out / "node.log"
            return play_through_node(bag, camera, log, advance, depth_source, clip.fps)
    finally:
        rclpy.try_shutdown()


def summary(heard: Heard, clip: ClipSequence) -> dict[str, Any]:
    """What was sent, what came back, and how far it is from the truth."""
    from endosfm3d_ros.nodes.offline.demo_picture import figures

    counts = {
        "rounds": heard.rounds,
        "speed": round(heard.speed, 2),  # times the recorded one: what this machine keeps up with
        "frames_sent": len(clip) * heard.rounds,
        "depth_images_received": heard.counts["depth/image"],
        "poses_received": heard.counts["poses"],
        "clouds_received": heard.counts["points"],
        "tissue_images_received": heard.counts["tissue/image"],
        "tool_labels_received": heard.counts["tools/labels"],
    }
    said = heard.status and {
        "latency_p50_ms": round(heard.status.latency_p50_ms, 1),
        "quality": heard.status.quality,
        "scale_source": heard.status.scale_source,
        "networks": heard.status.backend,
    }
    errors = {name: round(value, 3) for name, value in figures(heard, clip).items()}
    return counts | (said or {}) | errors


def shortfall(heard: Heard, frames: int) -> list[str]:
    """Why frames did not come back, and what to do about it; empty where nearly all did."""
    from endosfm3d_ros.nodes.node.readiness import advice

    sent, status = frames * heard.rounds, heard.status
    back = heard.counts["depth/image"]
    if sent and back >= ENOUGH * sent:
        return []
    if status is None:
        return [f"{sent - back} of {sent} frames did not come back: the node sent no status"]
    reasons = {
        "did not reach the node": sent - status.frames_received,
        "were replaced by newer ones while the node was busy": status.frames_dropped,
        "were rejected": status.frames_rejected,
        "were answered, but not heard here": status.frames_processed - back,
    }
    said = [f"{count} {reason}" for reason, count in reasons.items() if count > 0]
    sentences = [f"{sent - back} of {sent} frames did not come back: {', '.join(said)}"]
    if status.frames_dropped:
        stages = {stage.name: stage.p50_ms for stage in status.stages}
        sentences.append(
            f"one update takes {stages.get('total', float('nan')):.0f} ms here, which is too slow "
            f"for this clip, or other programs keep the machine busy: {advice(stages)}"
        )
    return sentences
