"""`endosfm3d simulate`: a stereo endoscope clip with exact depth and poses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from endosfm3d_ros.errors import ConfigurationError

SCENES = (
    "breathing: moving camera, tissue that rises and shears; static: moving camera, still tissue; "
    "plane: still camera, flat tissue at 50 mm; rotated: static, raw eyes turned by 2 degrees."
)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command()
    def simulate(
        out: Annotated[Path, typer.Argument(help="Clip folder to make.")],
        scene: Annotated[str, typer.Option(help=SCENES)] = "breathing",
        frames: Annotated[int, typer.Option(help="How many.")] = 90,
        size: Annotated[str, typer.Option(help="Width x height of one eye.")] = "640x512",
        seed: Annotated[int, typer.Option(help="Of the tissue's shape and texture.")] = 0,
        fps: Annotated[float, typer.Option(help="Frames per second.")] = 15.0,
        force: Annotated[bool, typer.Option("--force", help="Replace an older clip.")] = False,
    ) -> None:
        """Render a clip of a stereo endoscope over tissue, with exact depth and camera poses.

        The same options give the same pixels.

        Example: endosfm3d simulate clips/breathing --frames 150 --size 640x512
        """
        from endosfm3d_ros.datasets.clip_writer import write_clip
        from endosfm3d_ros.datasets.simulator import SimulatedSequence

        width, height = parsed_size(size)
        clip = SimulatedSequence(
            scene, frames=frames, width=width, height=height, fps=fps, seed=seed
        )
        columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
        with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
            bar = progress.add_task(scene, total=frames)
            write_clip(clip, out, force=force, on_frame=lambda n: progress.update(bar, completed=n))
        Console().print(
            f"{out}: {frames} frames of {size} at {fps:g} fps, baseline "
            f"{clip.stereo.baseline * 1e3:.2f} mm, depth_ref/ and poses_ref.txt are exact",
            highlight=False,
            markup=False,
        )


def parsed_size(text: str) -> tuple[int, int]:
    """Width and height of a text like 640x512."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigurationError(f"--size {text}: width x height in pixels, e.g. 640x512")
    return int(width), int(height)
