"""Messages of two topics by their stamps."""

import pytest

from endosfm3d_ros.datasets.formats.matching import increasing, partners


def test_late_and_repeated_stamps_go():
    assert increasing([5, 7, 7, 6, 9, 1]) == [0, 1, 4]
    assert increasing([]) == []
    assert increasing([-3, 2, -1]) == [1]


def test_one_stamp_of_the_far_future_takes_only_itself():
    assert increasing([5, 10**18, 7, 8]) == [0, 2, 3]
    assert increasing([0, 100, 200, 0, 100, 200]) == [0, 1, 2]  # a loop: the first time counts


@pytest.mark.parametrize(
    ("stamps", "others", "expected"),
    [
        ([10, 20, 30], [10, 20, 30], [0, 1, 2]),
        ([10, 20, 30], [11, 19, 33], [0, 1, 2]),
        ([10, 20, 30], [10, 30], [0, None, 1]),
        ([10, 20], [14], [0, None]),  # 14 is nearer to 10
        ([10, 20], [15, 20], [None, 1]),  # 15 is within reach of 10 only at slop 5
        ([10], [], [None]),
        ([], [10], []),
    ],
)
def test_each_takes_its_nearest_within_the_slop(stamps, others, expected):
    assert partners(stamps, others, slop=4) == expected


def test_equal_stamps_come_first_and_nothing_is_used_twice():
    # the right partner of 0 is missing; the one of 16 must not be taken for it
    assert partners([0, 16, 33], [16, 33], slop=16) == [None, 0, 1]
