"""Ids that last: while tools move, cross, hide, leave and come back."""

import cv2
import numpy as np
import pytest

from endosfm3d_ros.tools.tracking import ToolTracker, TrackerConfig

SIZE, FRAME = (320, 256), int(1e9 / 15)


@pytest.fixture
def tracker():
    return ToolTracker()


@pytest.fixture
def draw():
    """Makes the (H, W) bool mask of a shaft between two pixels, which may lie outside."""

    def shaft(start, end, width=34, size=SIZE):
        mask = np.zeros(size[::-1], np.uint8)
        ends = [tuple(int(value) for value in np.round(point)) for point in (start, end)]
        cv2.line(mask, *ends, 1, width)
        return mask > 0

    return shaft


def play(tracker, masks, start=0):
    """Feeds masks at 15 Hz and returns every answer."""
    return [tracker.update(mask, (start + i) * FRAME) for i, mask in enumerate(masks)]


def id_at(answer, mask):
    """The id that most of a mask has, 0 where most has none."""
    return int(np.bincount(answer.labels[mask], minlength=1).argmax())


def test_birth_takes_three_frames_in_a_row(tracker, draw):
    answers = play(tracker, [draw((-20, 120), (120, 120))] * 4)
    assert [len(answer.tools) for answer in answers] == [0, 0, 1, 1]
    assert [answer.born for answer in answers] == [(), (), (1,), ()]
    tool = answers[-1].tools[0]
    assert (tool.id, tool.born, tool.lost) == (1, 0, False) and 0.5 < tool.score <= 1
    assert tool.bbox == (0, 103, 138, 35)


def test_outlines_are_those_of_the_mask_at_full_size(tracker, draw):
    mask = draw((-20, 500), (600, 700), 150, (1280, 1024))
    answer = play(tracker, [mask] * 3)[-1]
    assert np.array_equal(answer.tools[0].mask, mask)
    grown = answer.excluded & ~mask
    columns = np.flatnonzero(grown[700]), np.flatnonzero(mask[700])
    assert columns[0].max() - columns[1].max() == pytest.approx(47 / 2, abs=5)


def test_ids_stay_through_a_crossing(tracker, draw):
    """Two shafts from the left and the right sweep across each other and back."""
    first, second = [], []
    for phase in np.linspace(0, 2 * np.pi, 60):
        lift = 60 * np.cos(phase)
        first.append(draw((-20, 70), (190, 128 - lift), 30))
        second.append(draw((340, 190), (130, 128 + lift), 30))
    answers = play(tracker, [a | b for a, b in zip(first, second)])
    ids = {
        (id_at(answer, a & ~b), id_at(answer, b & ~a))
        for answer, a, b in list(zip(answers, first, second))[3:]
    }
    assert len(ids) == 1 and ids.pop() in ((1, 2), (2, 1))
    assert answers[30].labels.max() == 2


def test_a_tool_behind_another_keeps_its_id(tracker, draw):
    """A thin tool passes behind a wide one and comes out on the other side within a second."""
    wide = draw((160, 276), (160, 60), 80)
    masks, thins = [], []
    for y in np.linspace(40, 230, 40):
        thin = draw((-20, y), (110, y), 20)
        thins.append(thin)
        masks.append(wide | (thin if not 12 <= len(masks) <= 20 else False))
    answers = play(tracker, masks)
    before, after = id_at(answers[11], thins[11] & ~wide), id_at(answers[30], thins[30] & ~wide)
    assert before == after != 0
    hidden = next(tool for tool in answers[16].tools if tool.id == before)
    assert hidden.lost and not hidden.mask.any()
    assert id_at(answers[16], wide) not in (0, before)


def test_leaving_and_coming_back(tracker, draw):
    there, away = draw((-20, 120), (120, 120)), np.zeros(SIZE[::-1], bool)
    answers = play(tracker, [there] * 5 + [away] * 30 + [there] * 5)
    assert [answer.died for answer in answers if answer.died] == [(1,)]
    assert not answers[30].tools
    assert answers[-1].tools[0].id == 1


def test_another_port_or_another_time_is_another_tool(draw):
    there, elsewhere = draw((-20, 60), (120, 90)), draw((340, 200), (200, 200))
    away = np.zeros(SIZE[::-1], bool)
    for back, pause in ((elsewhere, 30), (there, 12 * 15)):
        answers = play(ToolTracker(), [there] * 5 + [away] * pause + [back] * 5)
        assert answers[-1].tools[0].id == 2


def test_jaws_and_gaps_are_one_tool(tracker, draw):
    parts = draw((-20, 120), (100, 120)) | draw((140, 112), (170, 100), 10)
    parts[:, 60:70] = False  # a highlight across the shaft
    answer = play(tracker, [parts] * 15)[-1]
    assert len(answer.tools) == 1 and np.array_equal(answer.tools[0].mask, parts)


def test_a_loose_part_appears_and_joins_its_tool(tracker, draw):
    tool, jaw = draw((-20, 120), (100, 120)), draw((136, 112), (160, 100), 10)
    answers = play(tracker, [tool] * 5 + [tool | jaw] * 20)
    assert all(len(answer.tools) == 1 for answer in answers[5:])
    assert id_at(answers[-1], jaw) == 1


def test_flickering_blobs_never_become_tools(tracker, draw):
    """20 blobs, each there half of the time, beside a real tool."""
    generator = np.random.default_rng(0)
    tool = draw((-20, 120), (120, 120))
    centres = generator.uniform((20, 20), (300, 236), (20, 2))
    masks = []
    for _ in range(150):
        mask = tool.copy()
        for centre in centres[generator.random(20) < 0.5]:
            mask |= draw(centre, centre, 14)
        masks.append(mask)
    answers = play(tracker, masks)
    assert {tool.id for answer in answers for tool in answer.tools} == {1}


def test_never_more_than_four_tools(tracker, draw):
    masks = [draw((x, -20), (x, 100), 24) for x in (30, 90, 150, 210, 270)]
    answers = play(tracker, [np.any(masks, axis=0)] * 6)
    assert len(answers[-1].tools) == 4 and set(np.unique(answers[-1].labels)) <= {0, 1, 2, 3, 4}
    assert answers[-1].excluded[40, 270] and answers[-1].excluded[40, 30]
    one = ToolTracker(TrackerConfig(max_tools=1))
    assert len(play(one, [masks[0] | masks[3]] * 6)[-1].tools) == 1


@pytest.mark.shared
@pytest.mark.parametrize("source", ["reference", "colour"])
def test_no_switch_on_a_research_clip(shared, source):
    """EndoNeRF's pulling clip: one tool leaves by the top and comes back, another stays."""
    from endosfm3d_ros.datasets.open import open_sequence
    from endosfm3d_ros.tools.segmentation import mask_source

    clip, colour = open_sequence(shared / "data" / "endonerf"), mask_source("colour")
    tracker, ids = ToolTracker(), {1: set(), 2: set()}
    for i, frame in enumerate(clip):
        mask = clip.mask(i) if source == "reference" else colour.segment(frame).mask
        answer = tracker.update(mask, i * FRAME)
        for instance, seen in ids.items():
            own = (clip.instances(i) == instance) & ~clip.ignore(i) & (answer.labels > 0)
            if own.sum() > 500:
                seen.add(id_at(answer, own))
    assert sorted(len(seen) for seen in ids.values()) == [1, 1] and ids[1] != ids[2]


def test_a_highlight_at_the_border_goes_before_it_becomes_a_tool(tracker, draw):
    """Seven frames of a small still patch, then nothing; one that stays is a tool after all."""
    patch, nothing = draw((-4, 70), (18, 76), 16), np.zeros(SIZE[::-1], bool)
    answers = play(tracker, [patch] * 7 + [nothing] * 5)
    assert not any(answer.tools for answer in answers)
    assert play(ToolTracker(), [patch] * 20)[-1].tools


def test_tools_that_cross_from_the_first_image_on_are_told_apart(tracker, draw):
    """One connected region with two places of entry; they keep their ids when they part."""
    first = [draw((-20, 60), (200, 130 + 2 * i), 26) for i in range(30)]
    second = [draw((340, 60), (120, 150 - 3 * i), 26) for i in range(30)]
    answers = play(tracker, [a | b for a, b in zip(first, second)])
    ids = {
        (id_at(answer, a & ~b), id_at(answer, b & ~a))
        for answer, a, b in list(zip(answers, first, second))[3:]
    }
    assert len(ids) == 1 and ids.pop() in ((1, 2), (2, 1))


def test_a_shaft_across_the_whole_image_is_one_tool(tracker, draw):
    answer = play(tracker, [draw((-20, 60), (340, 180), 40)] * 4)[-1]
    assert len(answer.tools) == 1


def test_a_third_tool_that_comes_in_behind_two_known_ones(tracker, draw):
    pair = draw((-20, 60), (190, 140), 26) | draw((340, 60), (130, 140), 26)
    masks = [pair] * 5 + [pair | draw((160, 276), (160, 230 - 6 * i), 24) for i in range(20)]
    answers = play(tracker, masks)
    assert len(answers[4].tools) == 2 and len(answers[-1].tools) == 3
    assert len({id_at(answers[-1], draw((160, 250), (160, 200), 10)), 1, 2}) == 3
