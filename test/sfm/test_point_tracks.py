"""Points that stay where they are on the tissue, whatever the light and the distance do."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from endosfm3d_ros.sfm.calibration.point_tracks import PointTracks
from endosfm3d_ros.sfm.features.illumination import evened, reflections
from endosfm3d_ros.types import Frame

WIDTH, HEIGHT = 320, 256


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    """(H, W) float32 soft texture, larger than the picture."""
    noise = np.random.default_rng(0).normal(size=(2 * HEIGHT, 2 * WIDTH)).astype(np.float32)
    fine, coarse = (cv2.GaussianBlur(noise, (0, 0), sigma) for sigma in (2.5, 9.0))
    return 120 + 25 * fine / fine.std() + 15 * coarse / coarse.std()


def similarity(i: int) -> np.ndarray:
    """(2, 3) picture of frame i from the texture: it turns, grows and moves."""
    turned = cv2.getRotationMatrix2D((WIDTH, HEIGHT), 0.6 * i, 1 + 0.006 * i)
    turned[:, 2] += 0.8 * i - WIDTH / 2, -HEIGHT / 2
    return turned


def frame(tissue: np.ndarray, i: int) -> Frame:
    """With a lamp whose spot slides over the tissue, and sensor noise."""
    picture = cv2.warpAffine(tissue, similarity(i), (WIDTH, HEIGHT))
    u, v = np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT))
    spot = np.exp(-((u - 160 - 3 * i) ** 2 + (v - 128) ** 2) / (2 * 70**2))
    noise = np.random.default_rng(i).normal(0, 1.5, picture.shape)
    lit = (picture * (0.35 + 0.8 * spot) + noise).clip(0, 220).astype(np.uint8)
    return Frame(i, cv2.cvtColor(lit, cv2.COLOR_GRAY2RGB))


def slips(tissue: np.ndarray, every: int) -> np.ndarray:
    """(N,) px between points of the first image and where they are believed after 40 frames."""
    tracks = PointTracks()
    tracks.update(frame(tissue, 0))
    first = tracks.renew()
    for i in range(1, 41):
        last = tracks.update(frame(tissue, i))
        if i % every == 0:
            last = tracks.renew()
    _, a, b = np.intersect1d(first.ids, last.ids, return_indices=True)
    back = cv2.invertAffineTransform(similarity(0))
    there = cv2.transform(cv2.transform(first.pixels[a][None], back), similarity(40))[0]
    return np.linalg.norm(there - last.pixels[b], axis=1)


def test_points_do_not_creep_away(tissue):
    renewed, chained = slips(tissue, every=8), slips(tissue, every=100)
    assert len(renewed) > 0.5 * len(chained)
    assert np.median(renewed) < 0.35
    assert np.median(renewed) < 0.5 * np.median(chained)


def test_a_place_that_looks_different_becomes_a_new_point(tissue):
    tracks = PointTracks()
    tracks.update(frame(tissue, 0))
    before = tracks.renew()
    tracks.update(frame(np.roll(tissue, 300, axis=0), 0))
    after = tracks.renew()
    assert len(np.intersect1d(before.ids, after.ids)) < 0.1 * len(before.ids)
    assert len(after.ids) > 20
    assert (np.diff(after.ids) > 0).all()


def test_light_is_taken_out():
    texture = cv2.GaussianBlur(np.random.default_rng(1).normal(size=(256, 320)), (0, 0), 2)
    texture *= 12 / texture.std()
    dim, bright = (evened((60 * k + k * texture).astype(np.uint8)) for k in (1, 3))
    assert abs(dim.mean() - bright.mean()) < 2
    assert 0.7 < dim.std() / bright.std() < 1.1  # three times the contrast before


def wet(tissue: np.ndarray, spots: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 of red tissue that mirrors a white lamp in spots (H, W) of 0 to 1."""
    shade = tissue[:HEIGHT, :WIDTH, None].clip(40, 220) / 255
    return (
        (255 * (shade * (0.9, 0.45, 0.4) + 0.35 * spots[..., None])).clip(0, 255).astype(np.uint8)
    )


def test_what_is_mirrored_is_seen_long_before_it_is_bright(tissue):
    spots = np.zeros((HEIGHT, WIDTH), np.float32)
    for u, v in ((60, 50), (200, 80), (120, 200)):
        cv2.circle(spots, (u, v), 4, 1.0, -1)
    spots = cv2.GaussianBlur(spots, (0, 0), 1.0)
    dry, picture = wet(tissue, 0 * spots), wet(tissue, spots)
    found = reflections(picture)
    assert picture.min(axis=2).max() < 200
    assert found[spots > 0.5].all()
    assert found[spots == 0].mean() < 0.05
    assert not reflections(dry).any()


def test_what_is_mirrored_can_be_left_out(tissue):
    spots = np.zeros((HEIGHT, WIDTH), np.float32)
    cv2.circle(spots, (200, 80), 5, 1.0, -1)
    dry, picture = (cv2.cvtColor(wet(tissue, k * spots), cv2.COLOR_RGB2GRAY) for k in (0, 1))
    without = evened(picture, spots == 0)
    assert (without[spots > 0] == 128).all()
    around = cv2.dilate(spots, np.ones((9, 9))) - spots > 0
    changed = np.abs(evened(dry).astype(int) - without)[around].mean()
    assert changed < 0.3 * np.abs(evened(dry).astype(int) - evened(picture))[around].mean()


def test_a_place_that_has_changed_is_believed_less(tissue):
    """The left half of the picture gets another pattern on top of its own."""
    other = cv2.GaussianBlur(np.random.default_rng(5).normal(size=tissue.shape), (0, 0), 2.5)
    other[:, WIDTH:] = 0  # the picture shows the middle of the texture
    spoilt = tissue + np.float32(8 / other[:, :WIDTH].std() * other)
    tracks = PointTracks()
    tracks.update(frame(tissue, 0))
    tracks.renew()
    tracks.update(frame(spoilt, 0))
    seen = tracks.renew()
    old = np.flatnonzero(seen.sigma > seen.sigma.min())  # new points are exact by definition
    left, right = (
        old[side(seen.pixels[old, 0])] for side in (lambda u: u < 140, lambda u: u > 180)
    )
    assert len(left) > 10 and len(right) > 20
    assert np.median(seen.sigma[left]) > 2 * np.median(seen.sigma[right])
