"""`endosfm3d train depth`: the small depth network, on the simulator's truth."""

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
    run,
)
from endosfm3d_ros.cli.train import train_group


def register(app: typer.Typer) -> None:
    """Add the command to the group `train`."""

    @train_group(app).command("depth")
    def train_depth(
        out: Out,
        steps: Steps = 6000,
        batch: Batch = 32,
        samples: Samples = 20_480,
        seed: Seed = 0,
        size: Size = "160x128",
        bank: BankFolder = None,
    ) -> None:
        """Train the small depth network on simulated images.

        Goes on where a run in the same folder stopped. Ends with depth.safetensors and its card.

        Example: endosfm3d train depth runs/depth --steps 6000
        """
        from endosfm3d_ros.training.supervised.bank import BankConfig
        from endosfm3d_ros.training.supervised.depth import DepthTask
        from endosfm3d_ros.training.supervised.loop import Schedule

        height, width = parsed_size(size)
        record = BankConfig(samples=samples, height=height, width=width, seed=seed)
        run(DepthTask, record, Schedule(steps=steps, batch=batch, seed=seed), out, bank)
