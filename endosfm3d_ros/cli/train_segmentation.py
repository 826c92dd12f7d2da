"""`endosfm3d train segmentation`: the small segmentation network, on truth or drawn masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from endosfm3d_ros.cli.supervised_run import (
    BankFolder,
    Batch,
    Out,
    Samples,
    Seed,
    Size,
    Steps,
    parsed_size,
    run_on_bank,
)
from endosfm3d_ros.cli.train import train_group


def register(app: typer.Typer) -> None:
    """Add the command to the group `train`."""

    @train_group(app).command("segmentation")
    def train_segmentation(
        out: Out,
        clips: Annotated[
            list[Path] | None,
            typer.Option("--clip", help="Clip folder with masks/ to train on as well; repeatable."),
        ] = None,
        start: Annotated[
            Path | None,
            typer.Option(help="depth.safetensors or segmentation.safetensors to begin from."),
        ] = None,
        steps: Steps = 3000,
        batch: Batch = 32,
        samples: Samples = 20_480,
        seed: Seed = 0,
        size: Size = "160x128",
        bank: BankFolder = None,
    ) -> None:
        """Train the small segmentation network on simulated images, and on drawn masks if given.

        Goes on where a run in the same folder stopped. Ends with segmentation.safetensors and its
        card.

        Example: endosfm3d train segmentation runs/tools --start runs/depth/depth.safetensors
        """
        from endosfm3d_ros.networks.checkpoint_files import read_tensors
        from endosfm3d_ros.training.supervised.bank import BankConfig
        from endosfm3d_ros.training.supervised.loop import Schedule
        from endosfm3d_ros.training.supervised.segmentation import (
            SegmentationTask,
            read_drawn_masks,
        )

        height, width = parsed_size(size)
        drawn = read_drawn_masks(clips or [], (height, width))
        tensors = read_tensors(start) if start else None
        run_on_bank(
            lambda stored: SegmentationTask(stored, drawn, tensors),
            BankConfig(samples=samples, height=height, width=width, seed=seed),
            Schedule(steps=steps, batch=batch, seed=seed),
            out,
            bank,
        )
