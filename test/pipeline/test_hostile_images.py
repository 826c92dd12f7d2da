"""Whatever pictures come: a result, or an InputError that says why; never anything else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import cv2
import numpy as np
import pytest

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs.plausibility import LEAST_SIDE
from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig
from endosfm3d_ros.sfm.config import EstimatorConfig
from endosfm3d_ros.sfm.scale.normaliser import ScaleConfig
from endosfm3d_ros.tissue.config import TissueConfig
from endosfm3d_ros.tools.stage import ToolsConfig
from endosfm3d_ros.types import Frame, SceneUpdate, StereoGeometry

SMALL = replace(TissueConfig(), width=96, capacity=4000)
INTERVAL = 100_000_000  # ns
rng = np.random.default_rng(0)


def flat(color, height: int = 128, width: int = 160) -> np.ndarray:
    return np.full((height, width, 3), color, np.uint8)


def noise(height: int = 128, width: int = 160) -> np.ndarray:
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def cloudy(sigma: float) -> np.ndarray:
    return cv2.normalize(cv2.GaussianBlur(noise(), (0, 0), sigma), None, 0, 255, cv2.NORM_MINMAX)


@pytest.fixture(scope="module")
def real() -> list[np.ndarray]:
    sequence = SimulatedSequence("moving", frames=6, width=160, height=128, fps=10)
    return [frame.image for frame in sequence]


def hostile(real: list[np.ndarray]) -> Iterator[np.ndarray]:
    """Real pictures with everything else between them."""

    def sized(width: int, height: int) -> np.ndarray:
        return cv2.resize(real[0], (width, height), interpolation=cv2.INTER_AREA)

    grey = cv2.cvtColor(real[1], cv2.COLOR_RGB2GRAY)
    steel = real[2].copy()
    steel[:, 60:] = 130, 130, 135
    yield from real
    for odd in (flat(0), flat(255), flat((200, 30, 20)), flat(90), noise()):  # light and colour
        yield from (real[0], odd, odd, odd)
    yield from (np.roll(real[0], shift, axis=1) for shift in range(4))  # no parallax at all
    for size in ((90, 250), (260, 36), (157, 125), (80, 64), (33, 32), (40, 400)):  # another camera
        picture = sized(*size)
        yield from (picture, picture, flat(0, *picture.shape[:2]), real[0])
    yield from (cloudy(1 + k) for k in range(4))  # unrelated stills
    yield from (np.ascontiguousarray(np.rot90(real[3], 2)), cv2.flip(real[4], 1))
    yield from (np.repeat(grey[..., None], 3, axis=2), steel, steel)
    yield cv2.addWeighted(real[0], 0.15, flat(200), 0.85, 0)  # fog
    yield np.clip(4 * real[0].astype(int), 0, 255).astype(np.uint8)
    for size in ((1, 1), (8, 6), (64, 1), (1, 64), (LEAST_SIDE - 1, 100)):  # too small for anything
        yield sized(*size)
    yield from real


def frame_of(image: np.ndarray, stamp: int, kind: str) -> Frame:
    """As a camera of that size would send it."""
    height, width = image.shape[:2]
    camera = PinholeCamera.default(width, height)
    frame = Frame(stamp, image, camera=camera)
    if kind == "topic":
        depth = (0.05 + 0.01 * rng.random((height, width))).astype(np.float32)
        patchy = stamp // INTERVAL % 3
        depth[: height * patchy // 2] = np.nan  # all, half, none
        return replace(frame, depth=depth)
    if kind in ("stereo", "scale"):
        P_left = np.hstack([camera.K, np.zeros((3, 1))])
        P_right = P_left.copy()
        P_right[0, 3] = -camera.fx * 0.005
        pair = StereoGeometry(camera, camera, np.eye(3), P_left, np.eye(3), P_right)
        right = np.roll(image, -max(1, width // 25), axis=1)
        return replace(frame, right_image=right, stereo=pair)
    return frame


def pipeline_for(kind: str, mode: str, masks: str, background: bool) -> Pipeline:
    sfm = EstimatorConfig(
        "shading" if kind == "scale" else kind,
        scale=ScaleConfig("stereo" if kind == "scale" else "none"),
        intrinsics=IntrinsicsConfig(mode),
        background=background,
    )
    tools = ToolsConfig(masks, in_background=background)
    return Pipeline(PipelineConfig(sfm, tools, SMALL, tissue_budget=0.0))


@pytest.mark.parametrize(
    ("kind", "mode", "masks", "background"),
    [
        ("shading", "estimate", "colour", False),
        ("scale", "prior", "colour", True),
        ("stereo", "estimate", "auto", False),
        ("topic", "fixed", "topic", True),
        ("endosfm3d", "estimate", "colour", True),
    ],
)
def test_no_picture_costs_more_than_its_own_frame(real, kind, mode, masks, background):
    pipeline = pipeline_for(kind, mode, masks, background)
    refused, update = [], None
    for k, image in enumerate(hostile(real)):
        try:
            update = pipeline.process(frame_of(image, k * INTERVAL, kind))
        except InputError as error:
            refused.append(str(error))
    pipeline.close()
    # what is refused is refused for a reason with numbers in it, and only that
    assert sum("are the least" in reason for reason in refused) == 5
    assert all(any(c.isdigit() for c in reason) for reason in refused)
    assert len(refused) < 12
    # jobs beside the frames did not fail unheard either
    assert not [note for note in pipeline.sfm.notes() if "failed" in note]
    assert_usable(update)


def assert_usable(update: SceneUpdate) -> None:
    """After all that, real pictures give a scene again."""
    assert np.isfinite(update.pose.T_map_camera).all()
    assert np.isfinite(update.intrinsics.covariance).all()
    assert update.depth.coverage > 0.2
    assert np.isfinite(update.tissue.T_map_camera).all()
    points = update.tissue.cloud.points
    assert len(points) > 100 and np.isfinite(points).all()


@pytest.mark.parametrize(
    "image",
    [np.zeros((64, 64), np.uint8), np.zeros((64, 64, 4), np.uint8), np.zeros((64, 64, 3))],
    ids=["grey", "four channels", "float"],
)
def test_arrays_that_are_no_rgb_picture_are_refused(image):
    pipeline = Pipeline(PipelineConfig(EstimatorConfig("shading")))
    with pytest.raises(InputError, match="is accepted"):
        pipeline.process(Frame(0, image))


@pytest.mark.parametrize("shape", [(0, 0), (0, 5), (4, 4, 2)])
def test_arrays_that_are_no_depth_map_are_refused(shape):
    pipeline = Pipeline(PipelineConfig(EstimatorConfig("topic")))
    with pytest.raises(InputError, match="depth of shape"):
        pipeline.process(Frame(0, flat(90), depth=np.zeros(shape, np.float32)))
