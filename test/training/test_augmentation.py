"""Changes of colour against what they are defined as."""

import colorsys

import numpy as np
import pytest

from endosfm3d_ros.training.augmentation import STEPS, JitterDraw, draw_jitter, draw_triplet
from endosfm3d_ros.training.recipes import ColourJitter


@pytest.fixture
def image():
    return np.random.default_rng(0).uniform(0.2, 0.7, (5, 6, 3)).astype(np.float32)


def grey(image):
    return image @ np.array([0.299, 0.587, 0.114], np.float32)


def test_brightness_contrast_and_saturation(image):
    brighter = JitterDraw((("brightness", 1.2),)).apply(image)
    np.testing.assert_allclose(brighter, image * 1.2, rtol=1e-5)
    flat = JitterDraw((("contrast", 0.0),)).apply(image)
    np.testing.assert_allclose(flat, grey(image).mean(), rtol=1e-5)
    pale = JitterDraw((("saturation", 0.0),)).apply(image)
    np.testing.assert_allclose(pale, grey(image)[..., None].repeat(3, -1), rtol=1e-4)


def test_hue_turns_the_colour_circle(image):
    turned = JitterDraw((("hue", -0.3),)).apply(image)
    h, s, v = colorsys.rgb_to_hsv(*map(float, image[2, 3]))
    np.testing.assert_allclose(turned[2, 3], colorsys.hsv_to_rgb((h - 0.3) % 1, s, v), atol=1e-4)


def test_draws_stay_in_their_ranges_and_take_every_order():
    rng = np.random.default_rng(1)
    draws = [draw_jitter(ColourJitter(), rng) for _ in range(200)]
    for name in STEPS:
        values = [dict(draw.steps)[name] for draw in draws]
        low, high = (-0.1, 0.1) if name == "hue" else (0.8, 1.2)
        assert low <= min(values) < low + 0.02
        assert high - 0.02 < max(values) <= high
    assert len({tuple(name for name, _ in draw.steps) for draw in draws}) == 24


def test_half_of_the_triplets_stay_as_they_are():
    rng = np.random.default_rng(2)
    drawn = [draw_triplet(ColourJitter(), rng) for _ in range(400)]
    unchanged = [draws for draws in drawn if not any(draw.steps for draw in draws)]
    assert 0.4 < len(unchanged) / 400 < 0.6
    changed = next(draws for draws in drawn if draws[0].steps)
    assert len(set(changed)) == 3
