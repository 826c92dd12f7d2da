"""`endosfm3d simulate`: clips of an endoscope over living tissue, with exact truth."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from endosfm3d_ros.errors import ConfigurationError

if TYPE_CHECKING:
    from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence

SCENES = (
    "breathing: moving camera, tissue that breathes and beats; static: still camera, still tissue; "
    "moving: moving camera, still tissue; resting: still camera, tissue that breathes and beats; "
    "plane: flat dry tissue at 50 mm; rotated: moving, raw eyes turned by 2 degrees; "
    "zoom: moving, one eye, focal length x1.3 in the middle; "
    "withdrawing: the camera retreats and turns; instruments: two tools over breathing tissue; "
    "pulling: a grasper lifts tissue; cutting: a hook opens a cut; surgery: everything at once."
)


class Layout(str, Enum):
    """How a clip is written."""

    CLIP = "clip"
    STEREOMIS = "stereomis"
    BAG = "bag"


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command()
    def simulate(
        scene: Annotated[str | None, typer.Argument(help=SCENES, show_default=False)] = None,
        out: Annotated[
            Path | None, typer.Argument(help="Folder to make.", show_default=False)
        ] = None,
        frames: Annotated[int, typer.Option(help="How many.")] = 90,
        size: Annotated[str, typer.Option(help="Width x height of one eye.")] = "640x512",
        seed: Annotated[int, typer.Option(help="Of the tissue's shape and texture.")] = 0,
        fps: Annotated[float, typer.Option(help="Frames per second.")] = 15.0,
        layout: Annotated[
            Layout,
            typer.Option(help="clip: images and all truth; stereomis: its folder; bag: rosbag2."),
        ] = Layout.CLIP,
        sheet: Annotated[
            Path | None,
            typer.Option(help="Only write a picture of all scenes and of random ones there."),
        ] = None,
        force: Annotated[bool, typer.Option("--force", help="Replace an older clip.")] = False,
    ) -> None:
        """Render a clip of an endoscope over living tissue, with exact truth.

        The truth: depth, camera poses, instrument and part masks, and in tools/ the mesh, the
        poses and the clearance of each instrument. The same options give the same pixels.

        Example: endosfm3d simulate instruments clips/instruments --frames 150 --size 640x512
        """
        if sheet is not None:
            write_sheet(sheet, seed)
        elif scene is None or out is None:
            raise ConfigurationError(
                "a scene and a folder are needed, or --sheet and a PNG file; scenes are " + SCENES
            )
        else:
            from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence

            width, height = parsed_size(size)
            clip = SimulatedSequence(
                scene, frames=frames, width=width, height=height, fps=fps, seed=seed
            )
            write(clip, out, layout, force)


def write(clip: SimulatedSequence, out: Path, layout: Layout, force: bool) -> None:
    """Write the clip in a layout, with a bar of frames."""
    if layout is Layout.BAG:
        from endosfm3d_ros.cli.convert import show, write_bag

        show(out, clip, write_bag(clip, out, "/endoscope", "raw", None, force))
        return
    from endosfm3d_ros.datasets.clips.writer import write_clip
    from endosfm3d_ros.datasets.published.stereomis_writer import write_stereomis

    writer: Callable = write_clip if layout is Layout.CLIP else write_stereomis
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress:
        bar = progress.add_task(escape(clip.name), total=len(clip))
        writer(clip, out, force=force, on_frame=lambda n: progress.update(bar, completed=n))
    eyes = f"baseline {clip.stereo.baseline * 1e3:.2f} mm" if clip.stereo else "one eye"
    width, height = clip.camera.size
    Console().print(
        f"{out}: {len(clip)} frames of {width}x{height} at {clip.fps:g} fps, {eyes}, exact truth",
        highlight=False,
        markup=False,
    )


def write_sheet(path: Path, seed: int) -> None:
    """A contact sheet as a picture file."""
    from endosfm3d_ros.datasets.simulation.sheet import contact_sheet
    from endosfm3d_ros.files.pictures import write_picture

    if path.suffix.lower() != ".png":
        raise ConfigurationError(f"--sheet {path}: a file name that ends in .png is accepted")
    write_picture(path, contact_sheet(seed))
    Console().print(f"{path}: every scene, and random pictures", highlight=False, markup=False)


def parsed_size(text: str) -> tuple[int, int]:
    """Width and height of a text like 640x512."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise ConfigurationError(f"--size {text}: width x height in pixels, e.g. 640x512")
    return int(width), int(height)
