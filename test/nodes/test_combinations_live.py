"""The generated pairs and depth images over DDS: right to 1 %, or refused.

A camera in one DDS participant publishes, and the receiver of the node listens in another, a
namespace for each stream. Depth is estimated here, so that one process serves them all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from combinations import (
    FEW,
    FILES,
    Case,
    cases,
    error_of,
    estimated,
    few_or_all,
    generated,
    message_of,
    require_right,
    tally,
)
from depth_combinations import DepthCase, depth_cases, depth_error, require_right_depth
from live_stage import PATIENCE, Stage, Stream
from plane_scene import raw_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

START, STEP = 100 * 10**9, 10**8
AT_ONCE = 20  # streams
EYES = ("left", "right")
LOOKS = 3  # frames of one eye after which a pair is refused


def pair_stream(stage: Stage, case: Case) -> Stream:
    """Both eyes and their calibrations, under the names of a case."""
    packed = is_file(case.encoding)
    topics = {name: CompressedImage if packed else Image for name in image_topics(case)}
    topics |= {f"{eye}/camera_info": CameraInfo for eye in EYES}
    remaps = {
        f"{inside}image_raw": f"{eye}/{case.word}" for inside, eye in zip(("", "right/"), EYES)
    }
    return Stream(stage, topics, remaps | {"camera_info": "left/camera_info"})


def image_topics(case: Case) -> list[str]:
    """Of the left and the right eye."""
    packed = "/compressed" if is_file(case.encoding) else ""
    return [f"{eye}/{case.word}{packed}" for eye in EYES]


def outcome(stream: Stream, case: Case) -> str:
    """What becomes of a pair."""
    pictures = [message_of(picture, case.encoding) for picture in case.pictures()]
    infos = dict(zip(EYES, case.infos()))
    for i in range(LOOKS):
        stamp = START + i * STEP
        for part in case.order:
            if part != "size":
                stream.publish(f"{part}/camera_info", infos[part], stamp)
                continue
            for name, plain in reversed(list(zip(image_topics(case), pictures))):
                stream.publish(name, plain, stamp)
        assert stream.until(lambda i=i: len(stream.frames) > i), (case, "nothing comes")
        frame = stream.frames[-1]
        if frame.stereo is not None and frame.right_image is not None:
            found = estimated(frame.image, frame.right_image, frame.stereo)
            error = error_of(found, frame.stereo.left, case)
            return require_right(error, case, stream.receiver.report.entries)
    assert stream.refused(""), (case, "no reason")
    return "refused"


def depth_stream(stage: Stage, case: DepthCase) -> Stream:
    """A picture, its calibration and its depth."""
    kind = CompressedImage if is_file(case.encoding) else Image
    topics = {"camera_info": CameraInfo, depth_topic(case): kind, "image_raw": Image}
    return Stream(stage, topics, {})


def depth_topic(case: DepthCase) -> str:
    return "depth_in/compressedDepth" if is_file(case.encoding) else "depth_in"


def depth_outcome(stream: Stream, case: DepthCase) -> str:
    """What becomes of a depth image beside a picture."""
    stream.publish("camera_info", case.info(), START)
    stream.publish(depth_topic(case), case.message(), START)
    stream.publish("image_raw", raw_message(case.picture(), "rgb8"), START)
    done = stream.until(lambda: stream.frames or stream.refused("depth_in"))
    assert done, (case, "nothing comes")
    if not stream.frames:
        return "refused"
    frame = stream.frames[-1]
    assert frame.depth is not None, (case, "handed on without its depth")
    return require_right_depth(case, *depth_error(frame.image, frame.camera, frame.depth, case))


def is_file(encoding: str) -> bool:
    """Whether it comes as a CompressedImage."""
    return encoding in FILES or "compressed" in encoding


def live(stage: Stage, examples: list, make: Callable, judge: Callable) -> Iterator[str]:
    """Outcomes; streams find each other some at a time, because that takes seconds."""
    for first in range(0, len(examples), AT_ONCE):
        some = examples[first : first + AT_ONCE]
        streams = [make(stage, case) for case in some]
        end = time.monotonic() + PATIENCE
        while not all([stream.connected for stream in streams]):  # each is asked
            assert time.monotonic() < end, "streams do not connect"
            time.sleep(0.05)
        yield from map(judge, streams, some)
        for stream in streams:
            stream.close()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    made = Stage()
    yield made
    made.close()


@pytest.mark.parametrize("count", few_or_all(AT_ONCE))
def test_the_cloud_of_a_live_pair_is_right_or_refused(stage, count):
    found = live(stage, generated(cases, count), pair_stream, outcome)
    outcomes = tally("pairs, DDS", found)
    assert outcomes["refused"] <= FEW * outcomes["right"], outcomes


@pytest.mark.parametrize("count", few_or_all(AT_ONCE))
def test_live_depth_is_of_the_pixels_of_the_picture_or_refused(stage, count):
    made = generated(depth_cases, count)
    outcomes = tally("depth, DDS", live(stage, made, depth_stream, depth_outcome))
    assert outcomes["right"] >= sum(case.must_be_read for case in made) > count / 8, outcomes
