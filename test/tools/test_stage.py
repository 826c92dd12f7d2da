"""The stage as a whole: masks live in the pixels of depth, bad input has a defined result."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig
from endosfm3d_ros.sfm.estimator import EstimatorConfig
from endosfm3d_ros.tools.models.source import model_source
from endosfm3d_ros.tools.shapes.silhouette import overlap, silhouette
from endosfm3d_ros.tools.stage import ToolsConfig
from endosfm3d_ros.tools.types import ToolPlacement
from endosfm3d_ros.types import Frame, ScaleEstimate, ScaleSource

STEEL = (110, 130, 150)
LENS = PinholeCamera(320, 256, 240.0, 240.0, 160.0, 128.0, (-0.45, 0.2, 0.0, 0.0, 0.0))


@pytest.fixture
def pipeline():
    made = Pipeline(
        PipelineConfig(
            sfm=EstimatorConfig("topic", intrinsics=IntrinsicsConfig(mode="fixed")),
            tools=ToolsConfig("topic", in_background=False),
        )
    )
    yield made
    made.close()


def a_frame(i: int, labels: np.ndarray | None, camera: PinholeCamera = LENS) -> Frame:
    """Tissue at 80 mm, before it the labelled pixels in the colour of steel."""
    image = np.full((256, 320, 3), (170, 80, 60), np.uint8)
    depth = np.full((256, 320), 0.08, np.float32)
    if labels is not None and labels.shape == image.shape[:2]:
        image[labels > 0], depth[labels > 0] = STEEL, 0.06
    return Frame(i * 10**8, image, camera=camera, depth=depth, tool_labels=labels)


def shaft() -> np.ndarray:
    """(H, W) uint8 1 on a shaft in the corner, where the lens bends most."""
    plane = np.zeros((256, 320), np.uint8)
    cv2.line(plane, (340, 250), (230, 170), 1, 30)
    return plane


def test_tools_of_a_distorted_image_are_placed_where_depth_is(pipeline):
    for i in range(4):
        update = pipeline.process(a_frame(i, shaft()))
    steel = np.abs(update.image.astype(int) - STEEL).sum(axis=2) < 30
    own = update.labels == update.tools.tools[0].track.id
    assert overlap(own, steel) > 0.93
    assert overlap(shaft() > 0, steel) < 0.9  # the raw mask is somewhere else
    tool = update.tools.tools[0]
    solid = silhouette(tool.placement.points(tool.model.vertices), tool.model.faces, LENS)
    assert overlap(solid, steel) > 0.9 and tool.placement.iou > 0.9


def flickering(i: int) -> np.ndarray:
    generator = np.random.default_rng(i)
    plane = np.zeros((256, 320), np.uint8)
    for x, y in generator.integers(0, 256, (20, 2)):
        cv2.circle(plane, (int(x), int(y)), 6, 1, -1)
    return plane


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        (lambda i: np.zeros((256, 320), np.uint8), ""),
        (lambda i: np.ones((256, 320), np.uint8), "covers 100 % of the image"),
        (lambda i: np.zeros((0, 0), np.uint8), "shape [0, 0]"),
        (lambda i: np.full((256, 320), 300, np.int32), "labels 300 to 300"),
        (lambda i: None, "no mask came with the image"),
        (flickering, ""),
    ],
    ids=["empty", "full", "sizeless", "wide", "missing", "flickering"],
)
def test_bad_masks_give_no_tool_and_a_reason(pipeline, labels, reason):
    for i in range(5):
        update = pipeline.process(a_frame(i, labels(i)))
    assert update.tools.tools == ()
    tracks = update.tools.tracks
    assert tracks.usable == (not reason)
    assert reason.replace("100 %", "100%") in tracks.reason


def test_a_mask_of_another_size_is_resized(pipeline):
    small = cv2.resize(shaft(), (160, 128), interpolation=cv2.INTER_NEAREST)
    for i in range(4):
        update = pipeline.process(
            a_frame(i, small, camera=PinholeCamera(320, 256, 240.0, 240.0, 160.0, 128.0))
        )
    assert overlap(update.tools.tracks.labels > 0, shaft() > 0) > 0.9


def test_depth_that_is_nan_under_the_tool_is_no_obstacle(pipeline):
    """A capsule has its size; only the tissue's limit is missing."""
    for i in range(4):
        frame = a_frame(i, shaft())
        depth = np.where(shaft() > 0, np.nan, frame.depth).astype(np.float32)
        update = pipeline.process(replace(frame, depth=depth))
    assert update.tools.tools[0].placement.valid
    blind = np.full((256, 320), np.nan, np.float32)
    blind[:8] = 0.08
    update = pipeline.process(replace(a_frame(4, shaft()), depth=blind))
    assert np.isfinite(update.tools.tools[0].placement.t).all()


@pytest.mark.parametrize(("masks", "runs"), [("colour", "none"), ("network", "f32 (within ")])
def test_the_pipeline_names_what_runs_the_network_of_the_masks(masks, runs):
    made = Pipeline(PipelineConfig(EstimatorConfig("topic"), ToolsConfig(masks)))
    assert runs in made.backend()
    made.close()


@pytest.mark.parametrize(("slow", "attempts"), [(False, 5), (True, 1)])
def test_a_slow_source_that_failed_is_left_alone_for_a_while(pipeline, slow, attempts):
    asked = []

    class Failing:
        name = "lrm"

        def model(self, observation):
            asked.append(observation.stamp)
            raise InputError("density stays below the threshold")

    Failing.slow = slow
    pipeline.tools.supply.models = Failing()
    seen = 0
    for i in range(pipeline.tools.config.remake_frames):
        update = pipeline.process(a_frame(i, shaft()))
        seen += bool(update.tools.tools)
        if seen == 5:
            break
    assert len(asked) == attempts
    assert "density stays below the threshold" in update.tools.notes[0]


def test_models_are_made_anew_on_request_and_serve_meanwhile(pipeline):
    for i in range(4):
        update = pipeline.process(a_frame(i, shaft()))
    first = update.tools.tools[0]
    assert first.model_count == 1
    assert pipeline.tools.remake() == 1
    second = pipeline.process(a_frame(4, shaft())).tools.tools[0]
    assert second.model_count == 2 and second.placement.valid
    assert second.model is not first.model
    assert pipeline.process(a_frame(5, shaft())).tools.tools[0].model_count == 2


@pytest.mark.parametrize(("diameter", "measured"), [(0.006, False), (0.0, True)])
def test_a_diameter_of_zero_is_measured(diameter, measured):
    config = model_source("capsule", shaft_diameter=diameter).config
    assert config.diameter_from_depth == measured
    assert measured or config.diameter == diameter


class Patient:
    """A source whose first model takes until `go_on` is set; notes the stamps it was asked for."""

    name, slow = "lrm", True

    def __init__(self) -> None:
        self.asked: list[int] = []
        self.begun, self.go_on = threading.Event(), threading.Event()

    def model(self, observation):
        self.asked.append(observation.stamp)
        self.begun.set()
        assert self.go_on.wait(250)  # as long as the test may take on a busy machine
        raise InputError("no matter")


@pytest.fixture
def busy():
    """A stage in the background whose workshop works on the first model it was asked for."""
    made = Pipeline(
        PipelineConfig(
            sfm=EstimatorConfig("topic", intrinsics=IntrinsicsConfig(mode="fixed")),
            tools=ToolsConfig("topic"),
        )
    )
    source = made.tools.supply.models = Patient()
    yield made, source
    source.go_on.set()
    made.close()


def visits(pipeline: Pipeline, count: int) -> set[int]:
    """Ids of instruments that come in one after another, each for half a second, elsewhere."""
    stamp, ids = 0, set()
    for k in range(count):
        labels = np.zeros((256, 320), np.uint8)
        x, y = (20 + 70 * (k % 4), 30 if k % 2 else 230)
        cv2.line(labels, (x, 255 * (y > 128)), (x, y + (40 if y < 128 else -40)), 1 + k % 9, 25)
        for _ in range(5):
            update = pipeline.process(replace(a_frame(0, labels), stamp=stamp))
            ids |= {tool.track.id for tool in update.tools.tools}
            stamp += 10**8
        for _ in range(12):  # longer than a tool out of sight is held
            pipeline.process(replace(a_frame(0, np.zeros_like(labels)), stamp=stamp))
            stamp += 10**8
    return ids


def test_models_of_tools_that_left_are_not_made(busy):
    pipeline, source = busy
    assert len(visits(pipeline, 6)) > 3
    assert source.begun.wait(30)
    assert len(pipeline.tools.supply.workshop) <= 1
    source.go_on.set()
    last = replace(a_frame(0, shaft()), stamp=10**12)
    for i in range(5):
        pipeline.process(replace(last, stamp=10**12 + i * 10**8))
    until(lambda: len(source.asked) > 1)
    assert len(source.asked) == 2  # the first one, and that of the tool which is here
    assert source.asked[1] >= 10**12


def test_a_reset_leaves_no_model_to_be_made(busy):
    pipeline, source = busy
    for i in range(5):
        pipeline.process(a_frame(i, shaft()))
    assert source.begun.wait(30)
    pipeline.reset()
    for i in range(5):
        pipeline.process(a_frame(i, shaft()))
    assert len(pipeline.tools.supply.workshop) == 1  # of the new stream
    pipeline.reset()
    assert len(pipeline.tools.supply.workshop) == 0
    source.go_on.set()
    time.sleep(0.2)
    assert len(source.asked) == 1


def until(condition, timeout: float = 20.0) -> None:
    end = time.monotonic() + timeout
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)


def test_what_a_model_source_raises_does_not_cost_the_frame(pipeline):
    class Broken:
        name, slow = "mesh", False

        def model(self, observation):
            raise cv2.error("an assertion failed")

    pipeline.tools.supply.models = Broken()
    for i in range(4):
        update = pipeline.process(a_frame(i, shaft()))
    assert update.tools.tools[0].model is None
    assert "an assertion failed" in update.tools.notes[0]


def test_the_view_names_the_source_that_its_own_mask_came_from(pipeline):
    """The next frame may be segmented, by another source, before this one's tools are placed."""
    begun = pipeline.begin(a_frame(0, shaft()))
    pipeline.tools._masks.name = "network"
    assert pipeline.finish(begun).tools.mask_source == "topic"


@pytest.mark.parametrize(("diameter", "models"), [(0.008, 1), (0.0, 2)])
def test_a_diameter_measured_by_depth_is_measured_anew_where_metres_change(diameter, models):
    stage = ToolsConfig("topic", shaft_diameter=diameter, in_background=False)
    sfm = EstimatorConfig("topic", intrinsics=IntrinsicsConfig(mode="fixed"))
    made = Pipeline(PipelineConfig(sfm, stage))
    for i in range(8):
        begun = made.begin(a_frame(i, shaft()))
        factor = 1.0 if i < 5 else 1.1
        depth = replace(begun.update.depth, depth=begun.update.depth.depth * np.float32(factor))
        scale = ScaleEstimate(factor, 0.01, ScaleSource.KINEMATICS, 9)
        tool = made.finish(
            replace(begun, update=replace(begun.update, depth=depth, scale=scale))
        ).tools.tools
        if i == 4:
            before = tool[0].model
    assert tool[0].model_count == models
    widths = [np.ptp(model.vertices, axis=0).min() for model in (before, tool[0].model)]
    assert widths[1] / widths[0] == pytest.approx(1.1 if models == 2 else 1.0, rel=0.02)
    made.close()


def test_a_placement_keeps_its_view_where_metres_change():
    rng = np.random.default_rng(0)
    vertices = rng.normal(size=(20, 3))
    placement = ToolPlacement(
        np.eye(3), np.array([0.01, 0.02, 0.08]), 0.02, 0.9, np.eye(6), 0.01, True
    )
    grown = placement.rescaled(1.2)
    assert np.allclose(grown.points(vertices), 1.2 * placement.points(vertices))
    assert grown.covariance[5, 5] == pytest.approx(1.44) and grown.covariance[0, 0] == 1
