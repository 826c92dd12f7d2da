"""What instruments leave in the map's colours."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.evaluation.metrics.contamination import RING, NearTools, contamination


def square(left: int) -> np.ndarray:
    mask = np.zeros((120, 200), bool)
    mask[50:70, left : left + 20] = True
    return mask


def test_pixels_count_near_an_instrument_and_for_a_second_where_it_was():
    near = NearTools()
    first = near.add(0, square(40))
    assert first[60, 39] and first[60, 40 - RING] and not first[60, 39 - RING]
    assert not first[60, 50]  # never seen: nobody can know what is there
    second = near.add(500_000_000, square(120))
    assert second[60, 50] and second[60, 130]  # uncovered, and hidden since: both were seen
    later = near.add(1_600_000_000, square(120))
    assert not later[60, 50] and not later[60, 130]


def test_it_is_the_mean_difference_of_the_pixels_that_count():
    clean = np.full((120, 200, 3), 100, np.uint8)
    dirty = clean.copy()
    dirty[60, :] = 70
    near = np.zeros((120, 200), bool)
    near[60, 10:20] = near[61, 10:20] = True
    assert contamination(dirty, clean, near) == 15
    assert np.isnan(contamination(dirty, clean, np.zeros_like(near)))


def test_the_simulator_takes_the_same_picture_without_instruments():
    clip = SimulatedSequence("instruments", frames=2, width=160, height=128)
    image, clean, mask = clip[1].image, clip.image_without_tools(1), clip.mask(1)
    difference = np.abs(image.astype(int) - clean).mean(axis=2)
    assert difference[mask].mean() > 20
    assert np.median(difference[~mask]) < 1  # the same light, exposure and noise
    assert np.array_equal(clean, clip.image_without_tools(1))
