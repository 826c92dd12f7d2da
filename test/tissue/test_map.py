"""The whole map on a sheet of which everything is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import psutil
import pytest

from endosfm3d_ros.evaluation.metrics.images import psnr
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.tissue.map import TissueMap
from endosfm3d_ros.types import CloudLabel, ScaleSource, TrackingState


def test_a_static_scene_stays_put_and_looks_like_itself(tissue, sheets, feeding):
    sheet = sheets()
    for i in range(20):
        view = feeding(tissue, sheet, i)
    points = tissue.store.view("means")[tissue.store.alive]
    assert np.abs(points[:, 2] - 0.05).max() < 3e-4
    travelled = np.linalg.norm(tissue.graph.travelled, axis=1)
    assert np.median(travelled) < 1e-4  # a pixel is 3.6e-4 m wide
    assert travelled.max() < 3.6e-4
    assert psnr(view.image, sheet.frame(0)[0]) > 33
    assert np.median(tissue.store.view("born")[tissue.store.alive]) == 0  # nothing was re-seeded


def test_hidden_tissue_keeps_its_place_while_its_surroundings_move(tissue, sheets, feeding):
    sheet = sheets(rise=0.004, drag=0.004, sigma=0.04)
    for i in range(5):
        feeding(tissue, sheet, i)
    labels = np.zeros((128, 160), np.uint8)
    labels[40:85, 50:95] = 1  # 16 mm wide
    pixels = sheet.camera.project(tissue.store.view("means"))
    inside = (np.abs(pixels - (72, 62)) < 20).all(axis=1) & tissue.store.alive
    slots = np.flatnonzero(inside)
    material = sheet.material(tissue.store.means[slots], 4)
    moved = 0.0
    for i in range(5, 65):
        feeding(tissue, sheet, i, labels)
        if i in (34, 64):
            truth = sheet.place(material, i)
            error = np.linalg.norm(tissue.store.means[slots] - truth, axis=1)
            assert (tissue.store.opacities[slots] > 0).mean() > 0.95
            assert error.max() < 1e-3
            moved = max(moved, np.linalg.norm(truth - sheet.place(material, 4), axis=1).max())
    assert moved > 3e-3  # standing still would have failed


def test_hidden_tissue_is_rendered_in_place_of_the_instrument(tissue, sheets, feeding):
    sheet = sheets(drag=0.003, sigma=0.04)
    for i in range(8):
        feeding(tissue, sheet, i)
    labels = np.zeros((128, 160), np.uint8)
    labels[40:85, 50:95] = 1
    for i in range(8, 30):
        view = feeding(tissue, sheet, i, labels)
    truth, _ = sheet.frame(29)
    assert psnr(view.image, truth, labels > 0) > 27
    hidden = view.cloud.labels == CloudLabel.RETAINED
    assert 300 < hidden.sum() < 0.5 * len(hidden)


def test_what_was_never_seen_is_marked_and_gives_way(tissue, sheets, feeding):
    sheet = sheets()
    labels = np.zeros((128, 160), np.uint8)
    labels[30:90, 40:100] = 1
    view = feeding(tissue, sheet, 0, labels)
    inferred = view.cloud.labels == CloudLabel.INFERRED
    assert inferred.sum() > 100
    assert view.cloud.confidence[inferred].max() < 0.2
    assert np.isfinite(view.depth).mean() > 0.99  # no hole is left
    for i in range(1, 8):
        view = feeding(tissue, sheet, i)
    assert not (view.cloud.labels == CloudLabel.INFERRED).any()
    assert psnr(view.image, sheet.frame(7)[0]) > 30


def test_breathing_is_followed_in_depth(tissue, sheets, feeding):
    sheet = sheets(rise=0.006)
    for i in range(31):
        view = feeding(tissue, sheet, i)
    truth = sheet.frame(30)[1]
    assert truth.min() < 0.0445
    assert np.nanmedian(np.abs(view.depth - truth)) < 3e-4
    assert np.nanpercentile(np.abs(view.depth - truth), 95) < 1.5e-3


def test_flickering_relative_depth_is_neither_zoom_nor_deformation(tissue, sheets, posed):
    sheet, rng = sheets(), np.random.default_rng(0)
    for i in range(25):
        image, depth = sheet.frame(i)
        flicker = float(np.exp(0.05 * rng.standard_normal())) if i else 1.0
        given = sheet.depth_map(depth * np.float32(flicker), i, ScaleSource.RELATIVE)
        view = tissue.update(image, given, posed(), budget=0.0)
    assert abs(np.nanmedian(view.depth) / 0.05 - 1) < 0.02
    assert np.linalg.norm(tissue.T_map_camera[:3, 3]) < 1e-3


def test_relative_breathing_is_not_mistaken_for_zoom(tissue, sheets, feeding):
    sheet = sheets(rise=0.005, sigma=0.008)
    for i in range(31):
        view = feeding(tissue, sheet, i, scale=ScaleSource.RELATIVE)
    rim = np.s_[:, :12]
    assert abs(np.nanmedian(view.depth[rim]) / np.median(sheet.frame(30)[1][rim]) - 1) < 0.03
    assert np.linalg.norm(tissue.T_map_camera[:3, 3]) < 0.001
    truth = sheet.frame(30)[1]
    centre = np.s_[58:70, 74:86]
    assert np.nanmedian(view.depth[centre]) < 0.5 * (0.05 + np.median(truth[centre]))


def test_a_moving_camera_sees_new_tissue_and_keeps_the_old(tissue, sheets, feeding):
    sheet = sheets()
    for i in range(25):
        T = se3.from_vectors(np.array([0, 0, 0.004 * i]), np.array([0.0006 * i, 0, -0.0002 * i]))
        view = feeding(tissue, sheet, i, T=T)
    image, depth = sheet.frame(24, T)
    assert np.nanmedian(np.abs(view.depth / depth - 1)) < 0.004
    assert np.isfinite(view.depth).mean() > 0.98
    assert psnr(view.image, image) > 28
    back = tissue.render(sheet.camera, np.eye(4))
    assert np.isfinite(back.depth).mean() > 0.97  # the first view is still there


def test_held_out_frames_teach_nothing(tissue, sheets, feeding, posed):
    sheet = sheets()
    for i in range(5):
        feeding(tissue, sheet, i)
    colors = tissue.store.view("colors").copy()
    image, depth = sheet.frame(5)
    dark = (image // 2).astype(np.uint8)
    tissue.update(dark, sheet.depth_map(depth, 5), posed(), budget=0.0, held_out=True)
    np.testing.assert_array_equal(tissue.store.view("colors"), colors)


def test_lost_without_support_holds_the_map(tissue, sheets, feeding, posed):
    sheet = sheets()
    for i in range(5):
        feeding(tissue, sheet, i)
    means = tissue.store.view("means").copy()
    rng = np.random.default_rng(3)
    noise = rng.integers(30, 200, (128, 160, 3)).astype(np.uint8)
    given = sheet.depth_map(sheet.frame(5)[1], 5)
    view = tissue.update(noise, given, posed(state=TrackingState.LOST), budget=0.0)
    assert view.state == TrackingState.LOST
    np.testing.assert_allclose(tissue.store.view("means"), means, atol=2e-4)
    view = feeding(tissue, sheet, 6)
    assert view.state == TrackingState.TRACKING


def test_a_lost_tracker_is_replaced_by_the_map_while_it_recognises_the_image(
    tissue, sheets, feeding, posed
):
    sheet = sheets()
    for i in range(5):
        feeding(tissue, sheet, i)
    for i in range(5, 12):
        T = se3.from_vectors(np.zeros(3), np.array([0.0004 * (i - 4), 0, 0]))
        image, depth = sheet.frame(i, T)
        given = sheet.depth_map(depth, i)
        view = tissue.update(image, given, posed(state=TrackingState.LOST), budget=0.0)
        assert view.state == TrackingState.TRACKING
    assert np.abs(tissue.T_map_camera[:3, 3] - T[:3, 3]).max() < 1e-3  # of 2.8e-3


def test_a_map_that_never_fits_starts_anew(config, sheets, feeding):
    tissue = TissueMap(replace(config, mismatch=-1.0, mismatch_frames=3))
    counts = []
    for i in range(8):
        feeding(tissue, sheets(), i)
        counts.append(tissue.frame)
    assert counts == [0, 1, 2, 0, 0, 1, 2, 0]


def test_caps_hold_over_many_frames(config, sheets, feeding):
    tissue = TissueMap(replace(config, capacity=6_000))
    sheet = sheets(rise=0.003, drag=0.004)
    rng = np.random.default_rng(0)
    for i in range(80):
        T = se3.from_vectors(0.01 * rng.standard_normal(3), 0.004 * rng.standard_normal(3))
        feeding(tissue, sheet, i, T=T)
        assert tissue.store.count <= 6_000
        assert tissue.store.count == tissue.store.alive.sum()
        assert tissue.graph.count <= config.graph.capacity
    assert len(tissue.history.stamps) <= config.history


def test_a_hundred_resets_do_not_grow_memory(tissue, sheets, feeding):
    sheet, process = sheets(), psutil.Process()
    for _ in range(15):
        tissue.reset()
        feeding(tissue, sheet, 0)
        feeding(tissue, sheet, 1)
    grown = []
    for _ in range(2):  # the allocator may take 9 MB once, a leak takes them every time
        before = process.memory_info().rss
        for _ in range(100):
            tissue.reset()
            feeding(tissue, sheet, 0)
        grown.append(process.memory_info().rss - before)
    assert min(grown) < 8e6


def test_the_map_can_be_rewound(tissue, sheets, feeding):
    sheet = sheets(drag=0.005)
    stamps = [feeding(tissue, sheet, i).stamp for i in range(31)]
    first, _ = sheet.frame(1)
    view = tissue.at_stamp(stamps[1], sheet.camera)
    rewound = np.clip(view.rgb * 255, 0, 255).astype(np.uint8)
    now = np.clip(tissue.render(sheet.camera, np.eye(4)).rgb * 255, 0, 255).astype(np.uint8)
    assert psnr(rewound, first) > psnr(now, first) + 5
    with pytest.raises(KeyError):
        tissue.at_stamp(-1, sheet.camera)


def test_more_time_means_more_steps(tissue, sheets, feeding, posed):
    sheet = sheets()
    steps = [feeding(tissue, sheet, i).steps for i in range(5)]
    assert steps[1:] in ([0, 1, 0, 1], [1, 0, 1, 0])  # no time at all: every other frame
    image, depth = sheet.frame(5)
    view = tissue.update(image, sheet.depth_map(depth, 5), posed(), budget=10.0)
    assert view.steps == tissue.config.refinement.live_steps
    view = tissue.update(image, sheet.depth_map(depth, 6), posed(), budget=None)
    assert view.steps == 6


def test_camera_and_map_do_not_drift_away_together(tissue, sheets, feeding):
    sheet = sheets(drag=0.004, sigma=0.015, period=1.0)
    offsets = []
    for i in range(91):
        feeding(tissue, sheet, i, scale=ScaleSource.RELATIVE)
        offsets.append(np.linalg.norm(tissue.T_map_camera[:3, 3]))
    assert max(offsets[60:]) < 1.2 * max(offsets[:31]) + 2e-4
    assert np.abs(tissue.store.view("means")[tissue.store.alive][:, 2] - 0.05).max() < 0.005


def test_a_lost_camera_is_found_again_at_a_remembered_view(tissue, sheets, feeding, posed):
    """The camera comes back at another place than where it was lost, from another origin."""
    sheet = sheets()
    path = [se3.from_vectors(np.zeros(3), np.array([0.001 * i, 0, 0])) for i in range(21)]
    for i, T in enumerate(path):
        feeding(tissue, sheet, i, T=T)
    noise = np.random.default_rng(3).integers(30, 200, (128, 160, 3)).astype(np.uint8)
    _, depth = sheet.frame(21)
    for i in (21, 22):
        given = sheet.depth_map(depth, i)
        view = tissue.update(noise, given, posed(state=TrackingState.LOST), budget=0.0)
        assert view.state == TrackingState.LOST
    elsewhere = se3.from_vectors(np.array([0, 0.2, 0]), np.array([0.3, 0.1, 0]))
    for i in (23, 24):
        image, depth = sheet.frame(i, path[2])
        pose = posed(elsewhere)
        view = tissue.update(image, sheet.depth_map(depth, i), pose, budget=0.0)
        assert view.state == TrackingState.TRACKING
        error = se3.inverse(path[2]) @ tissue.T_map_camera
        assert np.linalg.norm(error[:3, 3]) < 3e-4 and se3.rotation_angle(error) < 6e-3
    assert psnr(view.image, image) > 26


def test_a_tracker_that_goes_on_elsewhere_gets_a_new_map(config, sheets, feeding, posed):
    tissue = TissueMap(replace(config, mismatch_frames=3))
    sheet = sheets()
    for i in range(5):
        feeding(tissue, sheet, i)
    _, depth = sheet.frame(5)
    rng = np.random.default_rng(4)
    noise = rng.integers(30, 200, (128, 160, 3)).astype(np.uint8)
    tissue.update(noise, sheet.depth_map(depth, 5), posed(state=TrackingState.LOST), budget=0.0)
    states = []
    for i in range(6, 10):
        given = sheet.depth_map(depth, i)
        states.append(tissue.update(noise, given, posed(), budget=0.0).state)
    lost, new = TrackingState.LOST, TrackingState.INITIALISING
    assert states == [lost, lost, new, TrackingState.TRACKING]
    assert tissue.frame == 0  # the last of them was a first frame again
