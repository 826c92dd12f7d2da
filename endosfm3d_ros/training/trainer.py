"""The training loop: two steps per batch, epochs, validation, checkpoints, logs."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Adam
from torch.optim.lr_scheduler import StepLR

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.training.batches import TripletBatch
from endosfm3d_ros.training.checkpoint import (
    Progress,
    Trained,
    load_checkpoint,
    save_checkpoint,
)
from endosfm3d_ros.training.frames import PreparedClip
from endosfm3d_ros.training.journal import Journal
from endosfm3d_ros.training.networks import TrainingNetworks
from endosfm3d_ros.training.objectives import DepthStep, Objectives
from endosfm3d_ros.training.panels import training_panel
from endosfm3d_ros.training.recipes import Optimisation, Recipe
from endosfm3d_ros.training.triplets import (
    Split,
    TripletImages,
    epoch_batches,
    load_batches,
    validation_batches,
)


@dataclass(frozen=True)
class TrainerSettings:
    """How a training runs; nothing of it changes what a step computes but `half`."""

    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    half: bool = False  # bfloat16 where it is safe, see `Objectives`
    workers: int = 0  # processes that read ahead
    max_steps: int | None = None  # stop after so many, however many epochs that is
    checkpoint_seconds: float = 300.0  # between two checkpoints within an epoch
    panel_steps: int = 200  # between two pictures


@dataclass(frozen=True)
class StepReport:
    """What a listener hears after every step."""

    step: int
    steps: int  # of the whole training
    flow_loss: float
    depth_loss: float


class Trainer:
    """One training in one folder; a folder with a checkpoint is gone on with.

    Args:
        on_best: called when the networks are the best so far on the held-out triplets.

    Raises:
        ConfigurationError: the folder was begun with another recipe or other recordings.
    """

    def __init__(
        self,
        networks: TrainingNetworks,
        recipe: Recipe,
        clips: list[PreparedClip],
        split: Split,
        folder: Path,
        settings: TrainerSettings | None = None,
        on_best: Callable[[], None] = lambda: None,
    ) -> None:
        self.recipe, self.folder, self.split, self.on_best = recipe, folder, split, on_best
        self.settings = settings or TrainerSettings()
        self.networks = networks.to(self.settings.device)
        self.objectives = Objectives(networks, recipe, self.settings.half)
        self.training = TripletImages(clips, split.training, recipe)
        self.validation = TripletImages(clips, split.validation, recipe)
        optimisers = {
            "flow": _adam(networks.flow_parameters(), recipe.flow),
            "depth": _adam(networks.depth_parameters(), recipe.depth),
        }
        schedulers = {
            name: StepLR(optimisers[name], group.step_epochs, group.step_factor)
            for name, group in (("flow", recipe.flow), ("depth", recipe.depth))
        }
        self.trained = Trained(networks, optimisers, schedulers)
        folder.mkdir(parents=True, exist_ok=True)
        self.progress = load_checkpoint(folder, self.trained, recipe, self.data) or Progress()
        self.journal = Journal(folder, self.progress.log_bytes, self.progress.step)

    @cached_property
    def steps(self) -> int:
        """Steps of the whole training."""
        whole = self.recipe.epochs * len(epoch_batches(self.split.training, self.recipe, 0))
        return min(whole, self.settings.max_steps or whole)

    @cached_property
    def data(self) -> list[str]:
        """What the batches are made of, to notice other recordings in the folder of a run."""
        clips = [f"{clip.name}, {len(clip)} frames" for clip in self.training.clips]
        return [*clips, f"{len(self.split.validation)} triplets held out"]

    def run(self, on_step: Callable[[StepReport], None] = lambda _: None) -> Progress:
        """Train to the end; calls `on_step` after every step.

        Raises:
            InputError: a loss is no number.
        """
        try:
            while self.progress.step < self.steps:
                self._epoch(on_step)
            if self.progress.batch > 0:  # stopped within an epoch
                self._keep_if_best()
                self._save()
        finally:
            self.journal.close()
        return self.progress

    def _epoch(self, on_step: Callable[[StepReport], None]) -> None:
        """What is left of the current epoch; after its last batch, what ends an epoch."""
        progress, saved = self.progress, time.monotonic()
        batches = epoch_batches(self.split.training, self.recipe, progress.epoch)
        left = batches[progress.batch :][: self.steps - progress.step]
        for batch in load_batches(self.training, left, self.settings.workers):
            report = self._step(batch.to(self.settings.device))
            on_step(report)
            if time.monotonic() - saved >= self.settings.checkpoint_seconds:
                self._save()
                saved = time.monotonic()
        if progress.batch == len(batches):
            self._end_epoch()

    def _step(self, batch: TripletBatch) -> StepReport:
        """Both steps on one batch, flow first."""
        begin, progress = time.monotonic(), self.progress
        self.networks.enter_flow_step()
        flow_loss = self.objectives.flow(batch)
        self._descend("flow", flow_loss)
        self.networks.enter_depth_step()
        depth = self.objectives.depth(batch)
        self._descend("depth", depth.loss)
        progress.step, progress.batch = progress.step + 1, progress.batch + 1
        losses = flow_loss.item(), depth.loss.item()
        report = StepReport(progress.step, self.steps, *losses)
        self._log(batch, depth, report, time.monotonic() - begin)
        return report

    def _descend(self, name: str, loss: Tensor) -> None:
        """One step of an optimiser."""
        if not torch.isfinite(loss):
            raise InputError(
                f"{name} loss is {loss.item()} at step {self.progress.step + 1}: "
                "check the recordings for broken frames, or lower the learning rate"
            )
        optimiser = self.trained.optimisers[name]
        optimiser.zero_grad()
        loss.backward()
        if self.recipe.gradient_limit is not None:
            parameters = optimiser.param_groups[0]["params"]
            nn.utils.clip_grad_norm_(parameters, self.recipe.gradient_limit)
        optimiser.step()

    def _log(
        self, batch: TripletBatch, depth: DepthStep, report: StepReport, seconds: float
    ) -> None:
        """A row, and now and then a picture."""
        rates = {
            f"{name}_rate": one.param_groups[0]["lr"]
            for name, one in self.trained.optimisers.items()
        }
        fx, fy = depth.focal.tolist()
        losses = {"flow_loss": report.flow_loss, "depth_loss": report.depth_loss}
        row = {"step": report.step, "epoch": self.progress.epoch, "seconds": round(seconds, 4)}
        self.journal.write(row | losses | rates | {"fx_share": fx, "fy_share": fy})
        if (report.step - 1) % self.settings.panel_steps == 0:
            self.journal.show("training", training_panel(batch, depth), report.step)

    def _end_epoch(self) -> None:
        """Validation, learning rates, checkpoint."""
        self._keep_if_best()
        for scheduler in self.trained.schedulers.values():
            scheduler.step()
        self.progress.epoch, self.progress.batch = self.progress.epoch + 1, 0
        self._save()

    def _keep_if_best(self) -> None:
        """Validate, and tell where the networks are the best so far."""
        progress, loss = self.progress, self.validate()
        row = {"step": progress.step, "epoch": progress.epoch, "validation_loss": loss}
        self.journal.write(row)
        if loss < progress.best:
            progress.best = loss
            self.on_best()

    @torch.no_grad()
    def validate(self) -> float:
        """Mean depth loss over the held-out triplets, as they are."""
        self.networks.enter_evaluation()
        batches = validation_batches(self.split.validation, self.recipe)
        total = 0.0
        for batch in load_batches(self.validation, batches, self.settings.workers):
            size = batch.images.shape[1]
            total += size * self.objectives.depth(batch.to(self.settings.device)).loss.item()
        return total / len(self.split.validation)

    def _save(self) -> None:
        """Checkpoint; the log up to here belongs to it."""
        self.progress.log_bytes = self.journal.length()
        save_checkpoint(self.folder, self.trained, self.progress, self.recipe, self.data)


def _adam(parameters: list[nn.Parameter], settings: Optimisation) -> Adam:
    return Adam(
        parameters,
        lr=settings.learning_rate,
        eps=settings.eps,
        weight_decay=settings.weight_decay,
    )
