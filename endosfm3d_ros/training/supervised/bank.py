"""A bank of simulated images on disk, from which networks are trained.

    bank = Bank(folder, BankConfig(frames=1, samples=20_000))
    bank.grow(to=2048)                  # renders what is missing
    sample = bank[torch.tensor([3, 17, 4])]

Arrays are memory-mapped and only ever grow, shard by shard; a shard counts when it is whole on
disk. So a run that was killed goes on with the same images, and sample i is the same for ever.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.atomic import write_text
from endosfm3d_ros.files.locations import cache_folder

if TYPE_CHECKING:
    from endosfm3d_ros.datasets.simulation.batch import SimulatedBatch

SHARD = 256  # samples rendered and entered at a time
FACTS = "bank.json"

Renderer = Callable[[int, int, int, int, int, str], "SimulatedBatch"]


def simulator(
    seed: int, count: int, frames: int, height: int, width: int, device: str
) -> SimulatedBatch:
    """The package's own simulator."""
    from endosfm3d_ros.datasets.simulation.batch import random_batch

    return random_batch(seed, count, frames, height, width, device)


@dataclass(frozen=True)
class BankConfig:
    """What is rendered. A bank on disk belongs to one such record."""

    samples: int = 20_480  # at most; 122 kB each at 128 x 160 and one frame
    frames: int = 1  # consecutive images a sample
    height: int = 128
    width: int = 160
    seed: int = 0

    def __post_init__(self) -> None:
        if self.samples < SHARD or self.samples % SHARD:
            raise ConfigurationError(
                f"bank of {self.samples} samples: multiples of {SHARD} are accepted"
            )


class Sample(NamedTuple):
    """Some samples with their truth; T frames each."""

    images: Tensor  # (B, T, 3, H, W) uint8 RGB
    depth: Tensor  # (B, T, H, W) float32 m
    parts: Tensor  # (B, T, H, W) uint8, 0 tissue, 1 shaft, 2 wrist, 3 jaws
    intrinsics: Tensor  # (B, 3, 3) float32 px
    poses: Tensor  # (B, T, 4, 4) float32 camera in world, m
    flow: Tensor  # (B, T, 2, H / 4, W / 4) float32 px (x, y) of tissue to the following image


class Bank:
    """Simulated samples in a folder.

    Args:
        folder: made where it is absent.
        config: what is rendered.
        render: what makes samples; see `simulator` for its arguments.

    Raises:
        ConfigurationError: the folder holds a bank of another record, or cannot be written.
    """

    def __init__(self, folder: Path, config: BankConfig, render: Renderer = simulator) -> None:
        self.folder, self.config, self._render = folder, config, render
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"bank folder {folder}: {error.strerror}") from error
        self.rendered = self._read_facts()
        self._grown = threading.Condition()
        self._ahead: threading.Thread | None = None

    def __len__(self) -> int:
        return self.rendered

    def __getitem__(self, index: Tensor) -> Sample:
        """(B,) positions below `len` to their samples."""
        picked = {name: array[index.numpy()] for name, array in self._arrays.items()}
        return Sample(
            images=torch.from_numpy(picked["images"]),
            depth=torch.from_numpy(picked["depth"]).float(),
            parts=torch.from_numpy(picked["parts"]),
            intrinsics=torch.from_numpy(picked["intrinsics"]),
            poses=torch.from_numpy(picked["poses"]),
            flow=torch.from_numpy(picked["flow"]).float(),
        )

    def draw(self, count: int, done: float, generator: torch.Generator) -> Sample:
        """Random samples for a step at a share `done` of the training, rendered when missing.

        A tenth of the bank serves the first step, and all of it those after the middle: the start
        is quick, and what a step sees does not depend on when it runs.
        """
        wanted = round(min(1.0, 0.1 + 1.8 * done) * self.config.samples)
        self.grow(wanted)
        return self[torch.randint(wanted, (count,), generator=generator)]

    def grow(self, to: int) -> None:
        """Render until at least `to` samples are there, or all."""
        while self.rendered < min(to, self.config.samples):
            if self._ahead is None:
                self._render_shard()
            else:
                self._wait_for_shard()

    @contextmanager
    def rendering_ahead(self) -> Iterator[None]:
        """Render on a thread of its own meanwhile; `grow` then waits for it.

        What it renders and in which order does not change.
        """
        leave = threading.Event()

        def render() -> None:
            torch.set_num_threads(1)
            while not leave.is_set() and self.rendered < self.config.samples:
                self._render_shard()
                with self._grown:
                    self._grown.notify_all()

        self._ahead = threading.Thread(target=render, name="bank", daemon=True)
        self._ahead.start()
        try:
            yield
        finally:
            leave.set()
            self._ahead.join()
            self._ahead = None

    def _wait_for_shard(self) -> None:
        """Returns when there is another shard, or when the thread has ended without one."""
        before = self.rendered
        while self.rendered == before and self._ahead.is_alive():
            with self._grown:
                self._grown.wait(timeout=1.0)
        if self.rendered == before:
            raise ConfigurationError(f"rendering into {self.folder} has failed, see above")

    def _render_shard(self) -> None:
        """The next samples; their seed follows from the bank's and their position."""
        c, begin = self.config, self.rendered
        seed = int(np.random.SeedSequence((c.seed, begin // SHARD)).generate_state(1)[0])
        # 1 in pieces: the simulator holds many maps of each image at a time
        for piece in range(0, SHARD, 32):
            batch = self._render((seed + piece) % 2**31, 32, c.frames, c.height, c.width, "cpu")
            self._enter(begin + piece, batch)
        # 2 first the samples, then the count
        for array in self._arrays.values():
            array.flush()
        self.rendered = begin + SHARD
        self._write_facts()

    def _enter(self, begin: int, batch: SimulatedBatch) -> None:
        rows = slice(begin, begin + len(batch.images))
        for name, array in self._arrays.items():
            array[rows] = getattr(batch, name).cpu().numpy()

    @cached_property
    def _arrays(self) -> dict[str, np.memmap]:
        """One file per kind of truth; depth as float16, 0.05 % off."""
        c = self.config
        each = (c.samples, c.frames)
        layout = {
            "images": ((*each, 3, c.height, c.width), np.uint8),
            "depth": ((*each, c.height, c.width), np.float16),
            "parts": ((*each, c.height, c.width), np.uint8),
            "intrinsics": ((c.samples, 3, 3), np.float32),
            "poses": ((*each, 4, 4), np.float32),
            "flow": ((*each, 2, c.height // 4, c.width // 4), np.float16),
        }
        return {name: self._mapped(name, *entry) for name, entry in layout.items()}

    def _mapped(self, name: str, shape: tuple[int, ...], kind: type) -> np.memmap:
        path = self.folder / f"{name}.npy"
        if path.is_file() and self.rendered:
            return open_memmap(path, mode="r+")
        return open_memmap(path, mode="w+", dtype=kind, shape=shape)

    def _read_facts(self) -> int:
        path = self.folder / FACTS
        if not path.is_file():
            return 0
        facts = json.loads(path.read_text())
        if facts["config"] != asdict(self.config):
            raise ConfigurationError(
                f"{self.folder} is a bank of {facts['config']}: the same, or another folder, is "
                "accepted"
            )
        return int(facts["rendered"])

    def _write_facts(self) -> None:
        facts = {"config": asdict(self.config), "rendered": self.rendered}
        write_text(self.folder / FACTS, json.dumps(facts))


def default_bank_folder(name: str) -> Path:
    """In `$ENDOSFM3D_CACHE` or the user's cache folder (XDG base directories)."""
    return cache_folder() / "banks" / name
