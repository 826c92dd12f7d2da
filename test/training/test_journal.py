"""Logs that survive an interruption, and the picture of what a training sees."""

import csv

import numpy as np
import pytest
import torch

pytest.importorskip("peft", reason="training needs peft (resource/requirements/train.txt)")

from tiny_training import TINY_OURS, moving_clip, tiny_networks

from endosfm3d_ros.training.journal import LOG, Journal
from endosfm3d_ros.training.objectives import Objectives
from endosfm3d_ros.training.panels import flow_picture, training_panel
from endosfm3d_ros.training.triplets import Item, Triplet, TripletImages, load_batches


def steps(folder):
    with (folder / LOG).open() as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def test_rows_after_the_checkpoint_are_cut_off(tmp_path):
    journal = Journal(tmp_path)
    journal.write({"step": 1, "epoch": 0, "flow_loss": 0.5})
    length = journal.length()
    journal.write({"step": 2, "epoch": 0, "flow_loss": 0.4})
    journal.close()
    assert steps(tmp_path) == [1, 2]
    journal = Journal(tmp_path, length, step=1)
    journal.write({"step": 2, "epoch": 0, "flow_loss": 0.3})
    journal.close()
    assert steps(tmp_path) == [1, 2]
    assert "0.3" in (tmp_path / LOG).read_text()


def test_events_hold_numbers_and_pictures(tmp_path):
    pytest.importorskip("tensorboardX")
    journal = Journal(tmp_path)
    journal.write({"step": 1, "epoch": 0, "flow_loss": 0.5})
    journal.show("training", np.zeros((8, 8, 3), np.uint8), 1)
    journal.close()
    (events,) = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    assert b"flow_loss" in content
    assert b"\x89PNG" in content


def test_the_panel_shows_the_first_triplet():
    clips = [moving_clip(TINY_OURS.image_size)]
    images = TripletImages(clips, (Triplet(0, 5),), TINY_OURS)
    batch = next(iter(load_batches(images, [[Item(0)]])))
    networks = tiny_networks(TINY_OURS)
    networks.enter_evaluation()
    with torch.no_grad():
        panel = training_panel(batch, Objectives(networks, TINY_OURS).depth(batch))
    assert (panel.shape, panel.dtype) == ((2 * 112, 4 * 112, 3), np.uint8)
    np.testing.assert_array_equal(panel[:112, :112], clips[0].images[5])
    np.testing.assert_array_equal(panel[:112, 112:224], clips[0].images[4])
    assert panel[112:120, 336:].max() == 0  # the strip that is no tissue
    assert panel[140:200, 360:420].min() == 255


def test_flow_has_its_direction_as_hue():
    flow = torch.zeros(2, 4, 100)
    flow[1, :, :50], flow[0, :, 50:] = 5.0, 5.0  # to the right, and down
    picture = flow_picture(flow)
    np.testing.assert_array_equal(picture[0, 0], (255, 0, 0))  # 0 degrees
    assert picture[0, 99, 1] == 255  # 90 degrees
