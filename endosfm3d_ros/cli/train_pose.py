"""`endosfm3d train pose`: the small network for motion and intrinsics, on the simulator's truth."""

from __future__ import annotations

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
        steps: Steps = 2500,
        batch: Batch = 24,
        samples: Samples = 8192,
        seed: Seed = 0,
        size: Size = "160x128",
        bank: BankFolder = None,
    ) -> None:
        """Train the small pose and intrinsics network on simulated pairs of images.

        Goes on where a run in the same folder stopped. Ends with pose.safetensors and its card.

        Example: endosfm3d train pose runs/pose --steps 2500
        """
        from endosfm3d_ros.training.supervised.bank import BankConfig
        from endosfm3d_ros.training.supervised.loop import Schedule
        from endosfm3d_ros.training.supervised.pose import PoseTask

        height, width = parsed_size(size)
        record = BankConfig(samples=samples, frames=2, height=height, width=width, seed=seed)
        run_on_bank(PoseTask, record, Schedule(steps=steps, batch=batch, seed=seed), out, bank)
