"""Remembered views: kept apart, bounded, and found by their picture."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.evaluation.metrics.images import psnr
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.tissue.camera.map_keyframes import KeyframeConfig, Keyframes, correlation
from endosfm3d_ros.tissue.camera.map_localisation import MapInput
from endosfm3d_ros.tissue.observation import ValidityConfig, observe
from endosfm3d_ros.tissue.store.snapshot import as_bytes


def seen_from(sheet, i, T):
    image, depth = sheet.frame(i, T)
    return observe(image, sheet.depth_map(depth, i), None, sheet.camera, ValidityConfig())


def test_views_are_kept_apart_and_bounded_and_found(sheets):
    sheet, keyframes = sheets(), Keyframes(KeyframeConfig(capacity=4))
    path = [se3.from_vectors(np.zeros(3), np.array([0.002 * i, 0, 0])) for i in range(30)]
    for i, T in enumerate(path):
        keyframes.consider(seen_from(sheet, i, T), T, i)
        assert len(keyframes) <= 4
    assert len(keyframes) == 4
    poses = [frame.T_map_camera[0, 3] for frame in keyframes._frames]
    gaps = np.diff(sorted(poses))
    assert gaps.min() > 0.15 * 0.05  # of the depth
    nearest = keyframes.retrieve(seen_from(sheet, 0, path[-1]))[0]
    assert abs(nearest[0, 3] - path[-1][0, 3]) < 0.15 * 0.05


def test_what_was_never_seen_is_not_found(sheets):
    sheet, keyframes = sheets(), Keyframes(KeyframeConfig())
    seen = seen_from(sheet, 0, np.eye(4))
    keyframes.consider(seen, np.eye(4), 0)
    image = np.random.default_rng(0).integers(0, 255, (128, 160, 3)).astype(np.uint8)
    _, depth = sheet.frame(0)
    other = observe(image, sheet.depth_map(depth, 0), None, sheet.camera, ValidityConfig())
    assert keyframes.retrieve(other) == []
    assert len(keyframes.retrieve(seen)) == 1


def test_instruments_count_neither_for_nor_against():
    a = np.random.default_rng(1).random((20, 30)).astype(np.float32)
    b = a.copy()
    b[:, :12] = np.nan
    assert correlation(a, b) > 0.999 and correlation(a, 1 - b) < -0.999
    b[:, :26] = np.nan
    assert correlation(a, b) == -1


def test_replay_teaches_what_is_out_of_sight_and_nothing_else(tissue, sheets, feeding):
    """The camera moves on; spoilt colours that it no longer shows are learnt from key frames."""
    sheet = sheets()
    path = [se3.from_vectors(np.zeros(3), np.array([0.0012 * i, 0, 0])) for i in range(17)]
    for i, T in enumerate(path):
        feeding(tissue, sheet, i, T=T)
    unseen = (tissue.store.view("seen") < tissue.frame) & tissue.store.alive
    assert unseen.mean() > tissue.config.refinement.replay_from
    image, _ = sheet.frame(0)
    tissue.store.view("colors")[unseen] = 0.5
    shown = tissue.store.view("colors")[~unseen].copy()
    before = psnr(as_bytes(tissue.render(sheet.camera, path[0]).rgb), image)
    given = MapInput(image, None, None, None, True, None, True, None)
    for _ in range(3 * len(tissue._localiser.keyframes)):
        tissue._replay(given)
    after = psnr(as_bytes(tissue.render(sheet.camera, path[0]).rgb), image)
    assert tissue.frame % tissue.config.refinement.replay_every == 0
    assert after > before + 5
    np.testing.assert_array_equal(tissue.store.view("colors")[~unseen], shown)
