"""Pictures that are spoilt in known ways."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.runtime.timing import StageClock
from endosfm3d_ros.sfm.estimator import Estimator, EstimatorConfig
from endosfm3d_ros.sfm.features.degradation import CAUSES, PictureWatch
from endosfm3d_ros.types import Frame

FPS = 15


@pytest.fixture(scope="module")
def images() -> list[np.ndarray]:
    """Twelve pictures of a moving camera."""
    sequence = SimulatedSequence("moving", frames=12, width=320, height=256, fps=FPS)
    return [frame.image for frame in sequence]


def faded(image: np.ndarray, towards: tuple[int, int, int], share: float) -> np.ndarray:
    return ((1 - share) * image + share * np.array(towards)).astype(np.uint8)


def fouled(image: np.ndarray) -> np.ndarray:
    spoilt = image.copy()
    spoilt[:, :170] = cv2.GaussianBlur(image, (0, 0), 6)[:, :170]
    return spoilt


def tinted(image: np.ndarray) -> np.ndarray:
    return (image * np.array([0.9, 0.15, 0.15])).astype(np.uint8)


SPOILT = {
    "black": np.zeros_like,
    "dark": lambda image: (image * 0.15).astype(np.uint8),
    "smoky": lambda image: faded(image, (190, 190, 195), 0.6),
    "bloody": tinted,
    "defocused": lambda image: cv2.GaussianBlur(image, (0, 0), 4),
    "fouled": fouled,
}


def played(pictures) -> list[str]:
    watch = PictureWatch()
    return [watch.look(Frame(round(i * 1e9 / FPS), image)) for i, image in enumerate(pictures)]


def there_and_back(images: list[np.ndarray]) -> list[np.ndarray]:
    """24 pictures; no two neighbours are the same, as no two of a live camera are."""
    noise = np.random.default_rng(0)
    return [
        np.clip(image.astype(int) + noise.integers(-1, 2, image.shape), 0, 255).astype(np.uint8)
        for image in images + images[::-1]
    ]


def test_healthy_pictures_have_no_cause(images):
    assert set(played(there_and_back(images))) == {""}


@pytest.mark.parametrize("cause", SPOILT)
def test_a_cause_is_named_within_half_a_second_and_forgotten_as_soon(images, cause):
    healthy = there_and_back(images)
    spoilt = [SPOILT[cause](image) for image in there_and_back(images)[:12]]
    noise = np.random.default_rng(1)
    spoilt = [np.clip(p + noise.integers(0, 2, p.shape), 0, 255).astype(np.uint8) for p in spoilt]
    causes = played(healthy + spoilt + healthy[:12])
    half = FPS // 2
    assert set(causes[24 + half : 36]) == {cause}
    assert set(causes[36 + half :]) == {""}


def test_a_picture_that_does_not_change_at_all_is_frozen(images):
    causes = played(there_and_back(images) + [images[0]] * 9)
    assert causes[-1] == "frozen" and causes[24] == ""
    assert set(SPOILT) | {"frozen"} == set(CAUSES)


def test_what_lasts_is_how_things_are(images):
    spoilt = [SPOILT["smoky"](image) for image in there_and_back(images)]
    causes = played(there_and_back(images) + spoilt * 20)
    assert causes[40] == "smoky" and causes[-1] == ""


def test_nothing_is_learnt_from_a_spoilt_picture_and_the_notes_say_why(images):
    estimator = Estimator(EstimatorConfig(depth_source="shading"))
    healthy = there_and_back(images)
    spoilt = [SPOILT["smoky"](image) for image in healthy[:12]]
    for i, image in enumerate(healthy + spoilt):
        estimator.estimate(Frame(round(i * 1e9 / FPS), image), StageClock())
        if i == 30:
            made = estimator._motion._keyframes
            views = estimator._intrinsics._calibration.count
    assert any("the picture shows smoke: nothing is learnt" in note for note in estimator.notes())
    assert estimator._motion._keyframes == made
    assert estimator._intrinsics._calibration.count == views
