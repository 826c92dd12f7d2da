"""The protocols of the tissue evaluation on a simulated clip."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.evaluation.pictures.tissue import TissueGallery
from endosfm3d_ros.evaluation.runs.tissue import (
    disc_at,
    evaluate_tissue,
    is_held_out,
    reproject,
)
from endosfm3d_ros.evaluation.runs.tissue_protocol import TissueFrame, TissueProtocol
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig
from endosfm3d_ros.sfm.config import EstimatorConfig
from endosfm3d_ros.tissue.appearance.rendering import Rendering


def test_every_eighth_frame_is_held_out():
    assert [i for i in range(30) if is_held_out(i, 8)] == [1, 9, 17, 25]


def test_the_disc_has_its_size_and_moves():
    protocol = TissueProtocol()
    start, end = disc_at(protocol, 0, 640, 512), disc_at(protocol, 1, 640, 512)
    assert abs(start.sum() / (np.pi * 70**2) - 1) < 0.01
    rows, columns = np.nonzero(start)
    assert abs(columns.mean() - 192) < 1 and abs(rows.mean() - 384) < 1
    assert np.nonzero(end)[1].mean() > 300


def test_reprojected_points_fall_on_their_own_pixels():
    camera = PinholeCamera(32, 24, 30.0, 30.0, 15.5, 11.5)
    rng = np.random.default_rng(0)
    rgb = np.kron(rng.random((6, 8, 3)), np.ones((4, 4, 1))).astype(np.float32)
    depth = np.full((24, 32), 0.05, np.float32)
    depth[3, 5] = np.nan
    empty = np.empty((0, 2), np.float32)
    view = Rendering(rgb, depth, np.ones_like(depth), empty, empty[:, 0], empty[:, 0] > 0)
    image = reproject(view, camera)
    same = np.abs(image - np.floor(rgb * 255 + 0.5)).max(axis=-1) <= 1
    assert same[8:20, 8:28].mean() > 0.8  # closing eats corners of dark squares
    assert image[3, 5].any()  # the missing point was closed


def test_all_scores_of_a_simulated_clip(tmp_path):
    sequence = SimulatedSequence("breathing", frames=13, width=256, height=208, fps=30)
    sfm = EstimatorConfig(intrinsics=IntrinsicsConfig(mode="fixed"))
    gallery = TissueGallery(tmp_path, fps=30, rows=4, width=128)
    protocol = TissueProtocol(sfm=sfm, budget=0.0, disc_frames=4)
    values = evaluate_tissue(sequence, protocol, gallery.add).means()
    assert values["p1_psnr"] > values["persistence_p1_psnr"] + 2
    assert values["persistence_whole_p1_psnr"] < values["persistence_p1_psnr"] + 1
    assert values["p2_psnr"] > values["p1_psnr"] - 0.5
    assert values["hidden_psnr"] > values["hidden_inpaint_psnr"] + 2
    assert values["alpha_coverage"] > 0.98
    assert values["depth_median_rel_err"] < 0.015
    assert 0 < values["gaussians_max"] <= protocol.tissue.capacity
    assert {"p1_ssim", "p2_ssim", "p3_psnr", "p4_psnr", "gaussian_age_median"} <= set(values)
    gallery.write()
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {"tissue.png", "tissue.mp4", "tissue_psnr.png"}
    sheet = cv2.imread(str(tmp_path / "tissue.png"))
    assert sheet.shape[1] == 256 and 4 * 104 <= sheet.shape[0] < 8 * 104
    film = cv2.VideoCapture(str(tmp_path / "tissue.mp4"))
    assert film.get(cv2.CAP_PROP_FRAME_COUNT) == 13 + 4


def test_one_frame_is_too_few():
    with pytest.raises(ConfigurationError, match="1 frames"):
        evaluate_tissue(SimulatedSequence("plane", frames=1, width=64, height=48))


def test_an_empty_gallery_writes_a_plot_only(tmp_path):
    gallery = TissueGallery(tmp_path)
    gallery.write()
    assert [path.name for path in tmp_path.iterdir()] == ["tissue_psnr.png"]
    image = np.zeros((48, 64, 3), np.uint8)
    gallery.add(TissueFrame("p1", 3, image, image, 30.0))
    gallery.write()
    assert (tmp_path / "tissue.png").is_file()
