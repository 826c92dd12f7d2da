"""Sixty steps of a tiny training: it learns what it may, and outlives being killed."""

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

pytest.importorskip("peft", reason="training needs peft (resource/requirements/train.txt)")

from tiny_training import TINY_OURS, TINY_RELEASED, tiny_networks, tiny_trainer

from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.training.checkpoint import STATE, read_state
from endosfm3d_ros.training.journal import LOG
from endosfm3d_ros.training.trainer import Trainer
from endosfm3d_ros.training.triplets import Item, load_batches, split_by_time

SUPPORT = Path(__file__).parents[1] / "support"
ROOT = SUPPORT.parents[1]


def rows(folder):
    """The rows of steps; those of validations have no loss of a step."""
    with (folder / LOG).open() as file:
        return [row for row in csv.DictReader(file) if row["depth_loss"]]


def losses(folder):
    columns = ("flow_loss", "depth_loss", "fx_share")
    return np.array([[float(row[name]) for name in columns] for row in rows(folder)])


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Folder of sixty steps with the package's recipe; the depth network before and after."""
    folder = tmp_path_factory.mktemp("whole")
    trainer = tiny_trainer(folder, max_steps=60)
    before = {key: value.clone() for key, value in trainer.networks.depth.state_dict().items()}
    trainer.run()
    return folder, before, trainer.networks.depth.state_dict()


def test_sixty_steps_lower_both_losses(whole):
    flow, depth, _ = losses(whole[0]).T
    assert len(flow) == 60
    assert flow[-10:].mean() < 0.8 * flow[:10].mean()
    assert depth[-10:].mean() < 0.9 * depth[:10].mean()


def test_adapters_and_head_change_and_the_base_does_not(whole):
    _, before, after = whole
    learnt = {key for key in after if "lora_" in key or key.startswith("head.")}
    assert {key for key in after if not torch.equal(before[key], after[key])} == learnt


def test_the_released_recipe_learns_too(tmp_path):
    tiny_trainer(tmp_path, TINY_RELEASED, max_steps=16).run()
    flow, depth, _ = losses(tmp_path).T
    assert flow[-4:].mean() < 0.9 * flow[:4].mean()
    assert depth[-4:].mean() < 0.9 * depth[:4].mean()


def test_a_killed_training_goes_on_with_the_same_losses(whole, tmp_path):
    # 1 in a process that dies in the middle of its work
    path = os.pathsep.join((str(SUPPORT), str(ROOT), os.environ.get("PYTHONPATH", "")))
    script = [sys.executable, str(SUPPORT / "tiny_training.py"), str(tmp_path)]
    process = subprocess.Popen(script, env=os.environ | {"PYTHONPATH": path})
    deadline = time.monotonic() + 120
    while not ((tmp_path / STATE).is_file() and len(rows(tmp_path)) >= 10):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    # 2 gone on with, and compared with one that was left alone
    begun = read_state(tmp_path / STATE)["progress"]["step"]
    trainer = tiny_trainer(tmp_path, max_steps=begun + 8)
    assert trainer.progress.step == begun > 0
    trainer.run()
    assert [row["step"] for row in rows(tmp_path)] == [str(i + 1) for i in range(begun + 8)]
    # Products of matrices differ in the last digit with where their memory lies; it adds up.
    np.testing.assert_allclose(losses(tmp_path), losses(whole[0])[: begun + 8], rtol=1e-3)


def test_reading_batches_leaves_the_random_numbers_of_dropout_alone(tmp_path):
    trainer = tiny_trainer(tmp_path)
    before = torch.get_rng_state()
    next(iter(load_batches(trainer.training, [[Item(0)]])))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_run_keeps_its_recipe(tmp_path):
    tiny_trainer(tmp_path, max_steps=1).run()
    with pytest.raises(ConfigurationError, match=r"other settings \(batch_size\)"):
        tiny_trainer(tmp_path, replace(TINY_OURS, batch_size=2))


def test_a_run_keeps_its_recordings(tmp_path):
    trainer = tiny_trainer(tmp_path, max_steps=1)
    trainer.run()
    shorter = [replace(clip, images=clip.images[:9], stamps=clip.stamps[:9])
               for clip in trainer.training.clips]  # fmt: skip
    split = split_by_time(shorter, 0.2)
    with pytest.raises(ConfigurationError, match=r"other recordings \(noise, 12 frames; "):
        Trainer(tiny_networks(TINY_OURS), TINY_OURS, shorter, split, tmp_path)


def test_a_damaged_checkpoint_is_named(tmp_path):
    tiny_trainer(tmp_path, max_steps=1).run()
    (tmp_path / STATE).write_bytes((tmp_path / STATE).read_bytes()[:5000])
    with pytest.raises(ConfigurationError, match=r"state\.pt is damaged"):
        tiny_trainer(tmp_path)


def test_a_loss_that_is_no_number_stops_the_training(tmp_path):
    trainer = tiny_trainer(tmp_path, max_steps=1)
    with torch.no_grad():
        trainer.networks.optical_flow.gain.bias.fill_(float("nan"))
    with pytest.raises(InputError, match="flow loss is nan at step 1"):
        trainer.run()


def test_the_best_networks_are_announced(tmp_path):
    trainer = tiny_trainer(tmp_path, max_steps=12)
    seen = []
    trainer.on_best = lambda: seen.append(trainer.progress.best)
    trainer.run()
    with (tmp_path / LOG).open() as file:
        validations = [float(v) for row in csv.DictReader(file) if (v := row["validation_loss"])]
    lowest = np.minimum.accumulate(validations)
    assert seen == pytest.approx(sorted(set(lowest), reverse=True))
