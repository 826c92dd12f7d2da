"""Self-supervised training on recordings, from their paths to the finished run folder.

RUN/frames/    recordings at network size
RUN/state.pt   checkpoint; a training with this folder goes on from it
RUN/log.csv, RUN/tensorboard/
RUN/adapter/   best on held-out frames: peft adapter with head, base and pose; a weight set
RUN/released/  the same networks in the layout of the released code; a weight set
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from endosfm3d_ros.datasets.open import open_sequence
from endosfm3d_ros.sfm.endosfm3d.weights import find_weights
from endosfm3d_ros.tools.segmentation import mask_source
from endosfm3d_ros.training.exports import save_adapter_set, save_released_layout
from endosfm3d_ros.training.frames import PreparedClip, prepare_clip
from endosfm3d_ros.training.recipes import Recipe
from endosfm3d_ros.training.start import initial_networks
from endosfm3d_ros.training.trainer import Trainer, TrainerSettings
from endosfm3d_ros.training.triplets import split_by_clip, split_by_time

FRAMES_FOLDER, ADAPTER_FOLDER, RELEASED_FOLDER = "frames", "adapter", "released"


@dataclass(frozen=True)
class VideoTraining:
    """What to train on, from what, and where to."""

    sources: tuple[Path, ...]
    folder: Path
    recipe: Recipe
    weights: str = ""  # name or folder of a set; empty: the first that is installed
    validation: tuple[Path, ...] = ()  # whole recordings held out; without any, the ends of all
    validation_share: float = 0.1  # of each recording, at its end
    tools: str = ""  # mask source for frames without a recorded mask; empty: none
    settings: TrainerSettings = field(default_factory=TrainerSettings)


def start_training(
    options: VideoTraining, on_frame: Callable[[str, int, int], None] = lambda *_: None
) -> Trainer:
    """Everything ready to `run()`: frames on disk, networks filled or taken from a checkpoint.

    `on_frame` is called with the name of a recording, the frames read, and their number.

    Raises:
        InputError: a recording cannot be read or is too short.
        ConfigurationError: no weights, no peft, too little disk, or another run in the folder.
    """
    weights = find_weights(options.weights)
    networks = initial_networks(weights, options.recipe)
    clips = [
        prepare(path, number, options, on_frame)
        for number, path in enumerate((*options.sources, *options.validation))
    ]
    if options.validation:
        split = split_by_clip(clips, len(options.validation))
    else:
        split = split_by_time(clips, options.validation_share)

    def export() -> None:
        save_adapter_set(networks, options.recipe, options.folder / ADAPTER_FOLDER)
        save_released_layout(networks, options.recipe, options.folder / RELEASED_FOLDER)

    recipe, folder, settings = options.recipe, options.folder, options.settings
    return Trainer(networks, recipe, clips, split, folder, settings, export)


def prepare(
    path: Path, number: int, options: VideoTraining, on_frame: Callable[[str, int, int], None]
) -> PreparedClip:
    """One recording at network size."""
    sequence = open_sequence(path)
    tools = mask_source(options.tools) if options.tools and options.recipe.masked else None
    folder = options.folder / FRAMES_FOLDER / f"{number:03d}-{sequence.name}"

    def report(done: int, count: int) -> None:
        on_frame(sequence.name, done, count)

    return prepare_clip(sequence, folder, options.recipe, tools, report)
