"""Engines made of a function, in place of networks."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from endosfm3d_ros.engines import Engine, TensorSpec

SIZE = (64, 80)  # (height, width) of the stub networks


class StubEngine(Engine):
    """Calls a function with the input array; counts the runs."""

    def __init__(self, inputs, outputs, function: Callable):
        super().__init__(inputs, outputs)
        self.function = function
        self.runs = 0

    def _execute(self, inputs):
        self.runs += 1
        (array,) = inputs.values()
        return self.function(array)


def logit_of(depth):
    """(H, W) depth to the (1, 1, H, W) logit that the source turns back into it."""
    disparity = (1 / np.asarray(depth, np.float64) - 1 / 150) / (10 - 1 / 150)
    return np.log(disparity / (1 - disparity)).astype(np.float32)[None, None]


@pytest.fixture
def depth_engine():
    """Makes a depth engine from `function(image (H, W, 3) in 0..1) -> depth (H, W)`."""

    def make(function, coarse=None):
        def run(image):
            depth = function(image[0].transpose(1, 2, 0))
            half = depth[::2, ::2] if coarse is None else coarse(depth)
            return {"logit": logit_of(depth), "coarse_logit": logit_of(half)}

        inputs = (TensorSpec("image", (1, 3, *SIZE)),)
        outputs = (
            TensorSpec("logit", (1, 1, *SIZE)),
            TensorSpec("coarse_logit", (1, 1, SIZE[0] // 2, SIZE[1] // 2)),
        )
        return StubEngine(inputs, outputs, run)

    return make


@pytest.fixture
def pose_engine():
    """Makes a pose engine from `function(first, second) -> (axisangle, translation, q)`.

    Both images are (H, W, 3) in 0..1, in the order in which the network takes them.
    """

    def make(function):
        def run(pair):
            first, second = pair[0, :3].transpose(1, 2, 0), pair[0, 3:].transpose(1, 2, 0)
            values = function(first, second)
            names = ("axisangle", "translation", "q")
            return {n: np.asarray([v], np.float32) for n, v in zip(names, values)}

        inputs = (TensorSpec("pair", (1, 6, *SIZE)),)
        outputs = tuple(
            TensorSpec(n, (1, s)) for n, s in (("axisangle", 3), ("translation", 3), ("q", 4))
        )
        return StubEngine(inputs, outputs, run)

    return make


@pytest.fixture
def texture():
    """(H, W, 3) uint8 image that is neither dark nor saturated anywhere."""
    import cv2

    noise = np.random.default_rng(3).random((128, 160, 3), np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2)
    low, high = smooth.min(), smooth.max()
    return (60 + 120 * (smooth - low) / (high - low)).astype(np.uint8)
