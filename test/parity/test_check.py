"""Error measures of the parity checks."""

import json
import math

import numpy as np
import pytest
import torch

from endosfm3d_ros.evaluation.parity.check import (
    Check,
    absolute,
    close,
    differing_share,
    scaled,
    unpacked_mask,
)


def test_scaled_error_is_relative_to_the_largest_value():
    check = scaled("x", torch.tensor([1.0, 9.5]), np.array([1.0, 10.0], np.float32), 0.1)
    assert check.error == pytest.approx(0.05)
    assert check.ok is True


def test_a_zero_reference_is_matched_by_zero_only():
    zero = np.zeros(3, np.float32)
    assert scaled("x", torch.zeros(3), zero).ok is True
    assert scaled("x", torch.full((3,), 1e-6), zero).ok is False


@pytest.mark.parametrize("offset", [0.0, 5e-7, 2e-6, 9e-5, 1.1e-4, 1e-3])
def test_close_is_numpys_allclose(offset):
    golden = np.array([0.0, 1e-3, 1.0])
    for i in range(3):
        ours = golden.copy()
        ours[i] += offset
        expected = np.allclose(ours, golden, rtol=1e-4, atol=1e-6)
        assert close("x", ours, golden, rtol=1e-4, atol=1e-6).ok == expected


def test_other_shapes_and_numbers_that_are_none_fail():
    assert scaled("x", torch.zeros(3), np.zeros(4)).ok is False
    broken = absolute("x", torch.tensor([math.nan, 0.0]), np.zeros(2), 1.0)
    assert broken.ok is False
    assert json.loads(json.dumps(broken.as_json(), allow_nan=False))["error"] is None


def test_share_of_differing_mask_pixels():
    golden = np.zeros((1, 1, 20, 50), bool)
    golden[0, 0, :3] = True
    unpacked = unpacked_mask(np.packbits(golden), 20, 50)
    assert np.array_equal(unpacked, golden)
    ours = torch.from_numpy(golden.copy())
    ours[0, 0, 19, 49] = True
    assert differing_share("x", ours, golden, 1e-3).error == pytest.approx(1e-3)
    assert differing_share("x", ours, golden, 1e-3).ok is True


def test_a_part_that_is_not_built():
    assert Check("x").as_json() == {"error": None, "tolerance": None, "ok": None}
