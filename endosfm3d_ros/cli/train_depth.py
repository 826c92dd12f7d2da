"""`endosfm3d train depth`: the small depth network, on the simulator's truth."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from endosfm3d_ros.cli.supervised_run import (
    BankFolder,
    Out,
    Samples,
    Seed,
    Size,
    parsed_size,
    run,
    run_on_bank,
)
from endosfm3d_ros.cli.train import train_group
from endosfm3d_ros.files.atomic import write_text


class Plan(str, Enum):
    """Which network, and on what."""

    cpu = "cpu"
    gpu = "gpu"


GPU_STEPS, GPU_BATCH = 12_000, 48  # an estimate for 20 minutes of a data-centre card


def register(app: typer.Typer) -> None:
    """Add the command to the group `train`."""

    @train_group(app).command("depth")
    def train_depth(
        out: Out,
        plan: Annotated[
            Plan,
            typer.Option(
                help="cpu: the small network. gpu: the full one from random weights, on a CUDA "
                "card that renders its images itself; steps, batch and size default to that plan."
            ),
        ] = Plan.cpu,
        steps: Annotated[int | None, typer.Option(min=1, help="Steps of the optimiser.")] = None,
        batch: Annotated[int | None, typer.Option(min=1, help="Samples a step.")] = None,
        start: Annotated[
            Path | None, typer.Option(help="depth.safetensors to begin from (plan cpu).")
        ] = None,
        samples: Samples = 20_480,
        seed: Seed = 0,
        size: Size = "160x128",
        bank: BankFolder = None,
    ) -> None:
        """Train a depth network on simulated images.

        Goes on where a run in the same folder stopped. Ends with depth.safetensors and its card,
        or with the parts of depth_model and their card: a weight set that the live node loads.

        Example: endosfm3d train depth runs/depth --steps 6000
        """
        if plan is Plan.gpu:
            train_large(out, steps or GPU_STEPS, batch or GPU_BATCH, seed)
            return
        from endosfm3d_ros.networks.checkpoint_files import read_tensors
        from endosfm3d_ros.training.supervised.bank import BankConfig
        from endosfm3d_ros.training.supervised.depth import DepthTask
        from endosfm3d_ros.training.supervised.loop import Schedule

        height, width = parsed_size(size)
        record = BankConfig(samples=samples, height=height, width=width, seed=seed)
        schedule = Schedule(steps=steps or 6000, batch=batch or 32, seed=seed)
        tensors = read_tensors(start) if start else None
        run_on_bank(lambda stored: DepthTask(stored, tensors), record, schedule, out, bank)


def train_large(out: Path, steps: int, batch: int, seed: int) -> None:
    """The plan `gpu`.

    Raises:
        ConfigurationError: torch sees no CUDA card.
    """
    import torch

    from endosfm3d_ros.errors import ConfigurationError
    from endosfm3d_ros.training.supervised.large_depth import LargeDepthTask, gpu_schedule

    if not torch.cuda.is_available():
        raise ConfigurationError("plan 'gpu' needs a CUDA card and torch sees none: use plan 'cpu'")
    task = LargeDepthTask()
    height, width = task.size
    rendered = {"height": height, "width": width, "samples": steps * batch, "seed": seed}
    run(task, gpu_schedule(steps, batch, seed), out, rendered, "cuda")
    facts = json.dumps({"input_size": [height, width]})
    write_text(out / "weights.json", facts + "\n")
