"""`endosfm3d convert`: any recording as a bag that the live pipeline can be fed with."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from endosfm3d_ros.cli.sources import InputOption, SourceArgument, open_source, tell
from endosfm3d_ros.errors import ConfigurationError

if TYPE_CHECKING:
    import numpy as np

    from endosfm3d_ros.datasets.sequence import Sequence
    from endosfm3d_ros.types import Frame

FIRST_STAMP = 1_000_000_000  # ns, for sources without clock: ROS reads a stamp of 0 as "none"
# Frames of the reference poses: none that the pipeline or a robot publishes.
REFERENCE_WORLD, REFERENCE_CAMERA = "reference_world", "reference_camera"
FORMATS = ("raw", "jpeg", "png")


def register(app: typer.Typer) -> None:
    """Add the command to the application."""

    @app.command()
    def convert(
        source: SourceArgument,
        bag: Annotated[Path, typer.Argument(help="Bag folder to make (rosbag2, MCAP).")],
        camera_ns: Annotated[
            str, typer.Option(help="Namespace of left/ and right/ in the bag.")
        ] = "/endoscope",
        compressed: Annotated[
            str, typer.Option(help="raw, or compress the images: jpeg (smaller) or png (exact).")
        ] = "raw",
        split: Annotated[
            str, typer.Option(help="StereoMIS: only the frames of <split>_split.csv, e.g. test.")
        ] = "",
        frames: Annotated[
            int | None, typer.Option(min=1, help="Only the first so many frames.")
        ] = None,
        inputs: InputOption = None,
        force: Annotated[bool, typer.Option("--force", help="Replace an older bag.")] = False,
    ) -> None:
        """Write a recording as a bag: images, calibration and every reference value it has.

        Topics are left/ and right/ image_raw and camera_info, left/tool_mask (0 = tissue, 1.. =
        instrument), reference/depth (metres) and reference/ignore below the namespace, and on
        /tf the reference pose of the left camera (reference_world -> reference_camera). A single
        camera is left.

        Example: endosfm3d convert StereoMIS/P2_7 p2_7_bag --split test --compressed jpeg
        """
        if compressed not in FORMATS:
            raise ConfigurationError(
                f"--compressed {compressed}: accepted are {', '.join(FORMATS)}"
            )
        sequence = open_source(source, inputs, split, FIRST_STAMP)
        written = write_bag(sequence, bag, camera_ns, compressed, frames, force)
        show(bag, sequence, written)


def write_bag(
    sequence: Sequence, bag: Path, camera_ns: str, image_format: str, limit: int | None, force: bool
) -> dict[str, int]:
    """Write the bag with a bar of frames; messages by topic."""
    from endosfm3d_ros.nodes.offline.bag_writer import BagWriter

    total = len(sequence) if limit is None else min(limit, len(sequence))
    written: dict[str, int] = {}
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    with (
        Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as progress,
        BagWriter(bag, force) as writer,
    ):
        bar = progress.add_task(escape(sequence.name), total=total)
        for i, frame in enumerate(islice(sequence, total)):
            for topic, message in messages(sequence, i, frame, camera_ns, image_format):
                writer.write(topic, message, frame.stamp)
                written[topic] = written.get(topic, 0) + 1
            progress.update(bar, completed=i + 1)
    return written


def messages(
    sequence: Sequence, i: int, frame: Frame, camera_ns: str, image_format: str
) -> Iterator[tuple[str, Any]]:
    """(topic, message) of one frame; what an image needs to be understood comes before it."""
    ns = "/" + camera_ns.strip("/") if camera_ns.strip("/") else ""
    yield from camera_messages(frame, ns)
    yield from reference_messages(sequence, i, frame, ns)
    yield from image_messages(frame, ns, image_format)


def camera_messages(frame: Frame, ns: str) -> Iterator[tuple[str, Any]]:
    """camera_info of each eye; the right P carries the baseline."""
    from endosfm3d_ros.datasets.sequence import LEFT_FRAME, RIGHT_FRAME
    from endosfm3d_ros.nodes.messages.conversions import camera_info_message

    stamp, pair = frame.stamp, frame.stereo
    if pair is not None:
        left = camera_info_message(pair.left, stamp, LEFT_FRAME, pair.R_left, pair.P_left)
        right = camera_info_message(pair.right, stamp, RIGHT_FRAME, pair.R_right, pair.P_right)
        yield f"{ns}/left/camera_info", left
        yield f"{ns}/right/camera_info", right
    elif frame.camera is not None:
        yield f"{ns}/left/camera_info", camera_info_message(frame.camera, stamp, LEFT_FRAME)


def image_messages(frame: Frame, ns: str, image_format: str) -> Iterator[tuple[str, Any]]:
    """The image of each eye."""
    from endosfm3d_ros.datasets.sequence import LEFT_FRAME, RIGHT_FRAME
    from endosfm3d_ros.nodes.messages.conversions import compressed_message, image_message

    eyes = ("left", frame.image, LEFT_FRAME), ("right", frame.right_image, RIGHT_FRAME)
    for side, image, frame_id in eyes:
        topic = f"{ns}/{side}/image_raw"
        if image is None:
            continue
        if image_format == "raw":
            yield topic, image_message(image, "rgb8", frame.stamp, frame_id)
        else:
            message = compressed_message(image, image_format, frame.stamp, frame_id)
            yield f"{topic}/compressed", message


def reference_messages(
    sequence: Sequence, i: int, frame: Frame, ns: str
) -> Iterator[tuple[str, Any]]:
    """Pose, depth, labels and what not to score of one frame, where there are any."""
    from tf2_msgs.msg import TFMessage

    from endosfm3d_ros.datasets.bags.motions import UNSCALED
    from endosfm3d_ros.datasets.sequence import LEFT_FRAME
    from endosfm3d_ros.nodes.messages.conversions import image_message, transform_message

    pose = sequence.reference_pose(i)
    if pose is not None:
        world = REFERENCE_WORLD if sequence.poses_metric else f"{REFERENCE_WORLD}_{UNSCALED}"
        transform = transform_message(pose, frame.stamp, world, REFERENCE_CAMERA)
        yield "/tf", TFMessage(transforms=[transform])
    planes = {
        f"{ns}/reference/depth": ("32FC1", sequence.reference_depth(i)),
        f"{ns}/reference/ignore": ("mono8", ignored_pixels(sequence, i)),
        f"{ns}/left/tool_mask": ("mono8", tool_labels(sequence, i)),
    }
    for topic, (encoding, plane) in planes.items():
        if plane is not None:
            yield topic, image_message(plane, encoding, frame.stamp, LEFT_FRAME)


def tool_labels(sequence: Sequence, i: int) -> np.ndarray | None:
    """(H, W) uint8, 0 = tissue, 1.. = instrument: one label where instances are not told apart."""
    labels = sequence.instances(i)
    if labels is not None:
        return labels
    mask = sequence.mask(i)
    return None if mask is None else mask.astype("uint8")


def ignored_pixels(sequence: Sequence, i: int) -> np.ndarray | None:
    """(H, W) uint8, 255 = do not score; all of a frame whose mask is not to be scored."""
    import numpy as np

    ignored, mask = sequence.ignore(i), sequence.mask(i)
    if mask is not None and not sequence.mask_valid(i):
        ignored = np.ones_like(mask)
    return None if ignored is None else ignored.astype(np.uint8) * 255


def show(bag: Path, sequence: Sequence, written: dict[str, int]) -> None:
    """What was written, and what the source lacked."""
    console = Console()
    console.print(f"{bag}, {sequence.fps:g} frames per second", highlight=False, markup=False)
    for topic, count in sorted(written.items()):
        console.print(f"  {topic}: {count}", highlight=False, markup=False)
    if sequence.camera is None:
        console.print("[yellow]no calibration in the source: no camera_info written[/yellow]")
    tell(sequence, console)
