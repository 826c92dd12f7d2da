"""The picture for people: the image, and the map where instruments hide tissue."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.scene.composite import CompositeConfig, Compositor, see_through
from endosfm3d_ros.tissue.store.snapshot import GaussianSnapshot
from endosfm3d_ros.types import (
    CameraPose,
    DepthMap,
    Frame,
    IntrinsicsEstimate,
    ScaleSource,
    SceneUpdate,
    TissueView,
    TrackingState,
)

CAMERA = PinholeCamera(320, 256, 300.0, 300.0, 160.0, 128.0)
FAR = 16  # px of the map, beyond margin and feather


def gaussians(inferred: np.ndarray) -> GaussianSnapshot:
    """One Gaussian every fourth pixel of a wall at 50 mm; `inferred` (h, w) bool says of which."""
    row, column = (plane.ravel() for plane in np.mgrid[2:256:4, 2:320:4])
    count = len(row)
    ray = np.stack([(column - CAMERA.cx) / CAMERA.fx, (row - CAMERA.cy) / CAMERA.fy], axis=1)
    rows = {
        "means": np.column_stack([ray * 0.05, np.full(count, 0.05)]).astype(np.float32),
        "scales": np.full((count, 3), 0.58 * 4 * 0.05 / CAMERA.fx, np.float32),
        "opacities": np.ones(count, np.float32),
        "inferred": inferred[row, column],
    }
    return GaussianSnapshot(rows, 1, 15.0, np.eye(4))


def view_of(image: np.ndarray, inferred: np.ndarray | None = None, **changes) -> TissueView:
    shape = image.shape[:2]
    values = {
        "stamp": 1,
        "camera": CAMERA,
        "T_map_camera": np.eye(4),
        "image": image,
        "covered": np.ones(shape, bool),
        "depth": np.full(shape, 0.05, np.float32),
        "gaussians": gaussians(np.zeros(shape, bool) if inferred is None else inferred),
        "state": TrackingState.TRACKING,
        "steps": 1,
    }
    return TissueView(**(values | changes))


@pytest.fixture(scope="module")
def tissue() -> np.ndarray:
    rng = np.random.default_rng(3)
    return rng.integers(60, 190, (256, 320, 3), np.uint8)


@pytest.fixture(scope="module")
def shaft() -> np.ndarray:
    mask = np.zeros((256, 320), bool)
    mask[90:150, 120:] = True
    return mask


def grown(mask: np.ndarray, by: int) -> np.ndarray:
    return cv2.dilate(mask.astype(np.uint8), np.ones((2 * by + 1, 2 * by + 1))) > 0


def shown(image, view, mask, mark=False) -> np.ndarray:
    return see_through(image, view, mask, mark, CompositeConfig())


def test_the_image_stays_away_from_instruments_and_the_map_is_shown_on_them(tissue, shaft):
    image = tissue.copy()
    image[shaft] = 250
    out = shown(image, view_of(tissue), shaft)
    far = ~grown(shaft, FAR)
    assert np.array_equal(out[far], image[far])
    assert np.abs(out.astype(int) - tissue)[shaft].max() <= 1
    assert out.dtype == np.uint8 and out.shape == image.shape


def test_the_seam_goes_from_one_to_the_other_by_degrees(shaft):
    image, map_image = np.full((256, 320, 3), 100, np.uint8), np.full((256, 320, 3), 100, np.uint8)
    map_image[shaft] = 160  # what the ring does not show is not matched
    image[shaft] = 0
    column = shown(image, view_of(map_image), grown(shaft, 0))[40:150, 220, 0].astype(int)
    assert column[0] == 100 and abs(column[-1] - 160) <= 2
    assert (np.diff(column[:45]) >= -1).all()  # no edge of the instrument in between


def test_the_map_takes_the_exposure_that_the_image_has_around_the_hole(tissue, shaft):
    darker = (tissue * 0.8).astype(np.uint8)
    image = tissue.copy()
    image[shaft] = 0
    out = shown(image, view_of(darker), shaft).astype(float)
    near = shaft & grown(~shaft, 20)
    assert out[near].mean() == pytest.approx(tissue[near].mean(), rel=0.03)


@pytest.mark.parametrize("mark", [True, False])
def test_what_was_never_seen_is_tinted_unless_unwanted(shaft, mark):
    grey = np.full((256, 320, 3), 120, np.uint8)
    inferred = np.zeros((256, 320), bool)
    inferred[:, 220:] = True
    out = shown(grey, view_of(grey, inferred), shaft, mark).astype(int)
    tinted = out[100:140, 240:310]
    assert ((tinted[..., 2] - tinted[..., 0]).min() > 20) == mark
    assert np.abs(out[100:140, 130:200] - 120).max() <= 1
    assert np.abs(out[:60] - 120).max() == 0  # only where the map is shown


@pytest.mark.parametrize("size", [(1280, 1024), (853, 700), (200, 160)])
def test_it_has_the_size_of_the_input_whatever_that_of_the_map(shaft, size):
    v, u = np.mgrid[:256, :320].astype(np.float32)
    smooth = np.dstack([80 + u / 4, 90 + v / 4, 100 + u / 8]).astype(np.uint8)
    large = cv2.resize(smooth, size, interpolation=cv2.INTER_LINEAR)
    mask = cv2.resize(shaft.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    image = large.copy()
    image[mask] = 255
    out = shown(image, view_of(smooth), shaft)
    assert out.shape == (size[1], size[0], 3)
    assert np.abs(out.astype(int) - large).max() <= 4
    far = ~grown(mask, round(FAR * size[0] / 320))
    assert np.array_equal(out[far], image[far])


def test_where_the_map_is_empty_the_instrument_stays_in_sight(tissue, shaft):
    image = tissue.copy()
    image[shaft] = 250
    covered = np.ones(shaft.shape, bool)
    covered[100:140, 200:260] = False
    empty = tissue.copy()
    empty[~covered] = 0
    depth = np.where(covered, np.float32(0.05), np.float32(np.nan))
    out = shown(image, view_of(empty, covered=covered, depth=depth), shaft, True)
    assert (out[~covered] == 250).all()


def test_a_hole_as_large_as_the_picture_is_all_map(tissue):
    everywhere = np.ones((256, 320), bool)
    out = shown(np.zeros_like(tissue), view_of(tissue), everywhere)
    assert np.abs(out.astype(int) - tissue).max() <= 1


def update_of(image: np.ndarray, view: TissueView | None, labels: np.ndarray | None):
    shape = image.shape[:2]
    depth = DepthMap(
        np.full(shape, 0.05, np.float32), np.ones(shape, np.float32), CAMERA, "topic",
        ScaleSource.TOPIC, 1,
    )  # fmt: skip
    pose = CameraPose(np.eye(4), np.eye(4), np.eye(6), TrackingState.TRACKING, 100)
    estimate = IntrinsicsEstimate(CAMERA, np.eye(4), "fixed", 1, "fixed")
    return SceneUpdate(
        Frame(1, image), image, depth, estimate, pose, lens=CAMERA, tissue=view, labels=labels
    )


def test_a_map_that_is_lost_or_missing_is_not_shown(tissue, shaft):
    image = tissue.copy()
    image[shaft] = 250
    labels, compositor = shaft.astype(np.uint8), Compositor()
    lost = view_of(tissue, state=TrackingState.LOST)
    for update in (update_of(image, lost, labels), update_of(image, None, labels),
                   update_of(image, view_of(tissue), None)):  # fmt: skip
        assert np.array_equal(compositor.picture(update), image)
    seen = compositor.picture(update_of(image, view_of(tissue), labels))
    assert np.abs(seen.astype(int) - tissue).max() <= 1
