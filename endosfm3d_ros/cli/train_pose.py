"""`endosfm3d train pose`: the small network for motion and intrinsics, on the simulator's truth."""

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

    @train_group(app).command("pose")
    def train_pose(
        out: Out,
        start: Annotated[
            Path | None, typer.Option(help="depth.safetensors to begin from: its U-Net is shared.")
        ] = None,
        steps: Steps = 3700,
        batch: Batch = 16,
        samples: Samples = 8192,
        seed: Seed = 0,
        size: Size = "160x128",
        bank: BankFolder = None,
    ) -> None:
        """Train the small pose and intrinsics network on simulated pairs of images.

        Goes on where a run in the same folder stopped. Ends with pose.safetensors and its card.

        Example: endosfm3d train pose runs/pose --start runs/depth/depth.safetensors
        """
        from endosfm3d_ros.networks.checkpoint_files import read_tensors
        from endosfm3d_ros.training.supervised.bank import BankConfig
        from endosfm3d_ros.training.supervised.loop import Schedule
        from endosfm3d_ros.training.supervised.pose import PoseTask

        height, width = parsed_size(size)
        record = BankConfig(samples=samples, frames=2, height=height, width=width, seed=seed)
        tensors = read_tensors(start) if start else None
        run_on_bank(
            lambda stored: PoseTask(stored, tensors),
            record,
            Schedule(steps=steps, batch=batch, seed=seed),
            out,
            bank,
        )
