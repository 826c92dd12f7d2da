"""Shading, external depth, scale, intrinsics and how the estimator puts them together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence
from endosfm3d_ros.errors import ConfigurationError, InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.runtime.timing import StageClock
from endosfm3d_ros.sfm.calibration.intrinsics import IntrinsicsConfig, IntrinsicsFilter
from endosfm3d_ros.sfm.config import EstimatorConfig
from endosfm3d_ros.sfm.depth.external import ExternalSource
from endosfm3d_ros.sfm.depth.shading import ShadingSource
from endosfm3d_ros.sfm.endosfm3d import weights
from endosfm3d_ros.sfm.estimator import Estimator
from endosfm3d_ros.sfm.scale.normaliser import ScaleNormaliser
from endosfm3d_ros.types import Frame, ScaleSource


@pytest.fixture(scope="module")
def frame() -> Frame:
    return SimulatedSequence("moving", frames=1, width=320, height=256)[0]


@pytest.fixture(autouse=True)
def no_weights(monkeypatch, tmp_path):
    """Neither the user's nor the package's."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(weights, "files", lambda _package: tmp_path / "package")
    monkeypatch.delenv("ENDOSFM3D_WEIGHTS", raising=False)


def lit(depth: np.ndarray, camera: PinholeCamera) -> np.ndarray:
    """Grey tissue of even albedo under a lamp at the camera, with display gamma."""
    distance = depth * np.linalg.norm(camera.rays(), axis=-1)
    radiance = 0.4 * (depth.min() / distance) ** 2
    return np.repeat((255 * radiance ** (1 / 2.2)).astype(np.uint8)[..., None], 3, axis=-1)


def test_shading_follows_the_inverse_square_law():
    camera = PinholeCamera.default(320, 256)
    ramp = np.linspace(0.05, 0.09, 320, dtype=np.float32)
    truth = np.broadcast_to(ramp, (256, 320)).copy()
    frame = Frame(0, lit(truth, camera))
    found = ShadingSource().estimate(frame, camera)
    scaled = found.depth / np.median(found.depth) * np.median(truth)
    inner = np.s_[40:-40, 40:-40]
    assert np.abs(scaled / truth - 1)[inner].max() < 0.06
    assert np.corrcoef(scaled[inner].ravel(), truth[inner].ravel())[0, 1] > 0.99
    assert found.confidence.max() <= 0.3
    assert found.scale == ScaleSource.RELATIVE


@pytest.mark.parametrize("grey", [0, 255])
def test_shading_knows_nothing_without_light_to_reason_with(frame, grey):
    found = ShadingSource().estimate(replace(frame, image=np.full_like(frame.image, grey)),
                                     frame.camera)  # fmt: skip
    assert np.isnan(found.depth).all()
    assert found.confidence.max() == 0


def test_shading_ignores_instruments(frame):
    camera = PinholeCamera.default(320, 256)
    truth = np.full((256, 320), 0.06, np.float32)
    image = lit(truth, camera)
    clean = ShadingSource().estimate(Frame(0, image), camera)
    labels = np.zeros((256, 320), np.uint8)
    labels[100:160, :140] = 1
    dirty = image.copy()
    dirty[labels > 0] = 30
    masked = ShadingSource().estimate(Frame(0, dirty, tool_labels=labels), camera)
    assert np.nanmax(np.abs(masked.depth / clean.depth - 1)) < 0.02


def test_external_depth_is_cleaned_and_resized(frame):
    depth = np.full((128, 160), 0.07, np.float32)
    depth[0, 0], depth[0, 1], depth[0, 2] = 0, -1, np.inf
    found = ExternalSource().estimate(replace(frame, depth=depth), frame.camera)
    assert found.depth.shape == (256, 320)
    assert np.isnan(found.depth[0, :6]).all()
    assert found.scale == ScaleSource.TOPIC
    with pytest.raises(InputError, match="without depth"):
        ExternalSource().estimate(frame, frame.camera)


def test_relative_depth_is_normalised_once_and_metric_depth_never(frame):
    normalise = ScaleNormaliser()
    first = ShadingSource().estimate(frame, frame.camera)
    assert np.nanmedian(normalise.apply(first).depth) == pytest.approx(0.05)
    nearer = replace(first, depth=first.depth * 0.5)
    assert np.nanmedian(normalise.apply(nearer).depth) == pytest.approx(0.025)
    metric = replace(first, scale=ScaleSource.STEREO)
    assert normalise.apply(metric) is metric


def test_intrinsics_modes(frame):
    given = frame.camera
    estimate = IntrinsicsFilter(IntrinsicsConfig("estimate")).update(frame)
    assert estimate.camera.fx == pytest.approx(0.82 * 320)
    prior = IntrinsicsFilter(IntrinsicsConfig("prior")).update(frame)
    fixed = IntrinsicsFilter(IntrinsicsConfig("fixed")).update(frame)
    assert fixed.camera == given
    assert np.allclose(prior.camera.K, given.K)
    assert prior.covariance[0, 0] > 0 == fixed.covariance[0, 0]
    with pytest.raises(InputError, match="none was given"):
        IntrinsicsFilter(IntrinsicsConfig("fixed")).update(replace(frame, camera=None))
    with pytest.raises(ConfigurationError, match="'free'"):
        IntrinsicsConfig("free")


def test_answers_of_the_network_are_fused_by_the_median(frame):
    rng = np.random.default_rng(1)
    intrinsics = IntrinsicsFilter()
    for i in range(50):
        outlier = 3.0 if i % 10 == 0 else 1.0
        focal = 300 * np.exp(0.02 * rng.normal()) * outlier
        intrinsics.observe(PinholeCamera(320, 256, focal, focal, 160 + rng.normal(), 128))
    estimate = intrinsics.update(frame)
    assert estimate.camera.fx == pytest.approx(300, rel=0.02)  # the first guess has a small say
    assert (estimate.state, estimate.count) == ("converging", 50)
    # a network's error does not average out
    assert 0.04 < np.sqrt(estimate.covariance[0, 0]) / 300 < 0.06
    larger = intrinsics.update(replace(frame, image=np.full((512, 640, 3), 90, np.uint8)))
    assert larger.camera.fx == pytest.approx(2 * estimate.camera.fx)


def test_pairs_without_motion_tell_the_network_nothing(frame):
    intrinsics = IntrinsicsFilter()
    for _ in range(3):
        before = intrinsics.update(frame)
    for _ in range(20):
        intrinsics.observe(PinholeCamera(320, 256, 500, 500, 160, 128))
    assert intrinsics.update(frame).camera == before.camera


def test_a_calibration_wrong_by_30_percent_changes_nothing_in_estimate_mode(frame):
    wrong = replace(frame.camera, fx=frame.camera.fx * 1.3, fy=frame.camera.fy * 1.3)
    alone = replace(frame, right_image=None, stereo=None)
    results = [
        Estimator().estimate(replace(alone, camera=camera), StageClock())
        for camera in (frame.camera, wrong, None)
    ]
    assert len({result.intrinsics.camera for result in results}) == 1
    assert all(np.array_equal(r.depth.depth, results[0].depth.depth, equal_nan=True)
               for r in results)  # fmt: skip


def test_the_source_is_chosen_once(frame):
    estimator = Estimator()
    assert estimator.estimate(frame, StageClock()).depth.source == "stereo"
    assert estimator.k_seen_by() == "stereo"
    assert not estimator.notes()
    with pytest.raises(InputError, match="right image"):
        estimator.estimate(replace(frame, right_image=None), StageClock())
    estimator.reset()
    alone = replace(frame, right_image=None)
    assert estimator.estimate(alone, StageClock()).depth.source == "shading"
    assert "no EndoSfM3D weights" in estimator.notes()[0]


def test_unknown_sources_are_refused():
    with pytest.raises(ConfigurationError, match="'sonar'"):
        Estimator(EstimatorConfig(depth_source="sonar"))
    with pytest.raises(ConfigurationError, match="weights"):
        Estimator(EstimatorConfig(depth_source="endosfm3d"))


def test_one_distorted_eye_is_straightened_before_anything_looks_at_it(frame):
    lens = replace(frame.camera, distortion=(-0.3, 0.1, 0.0, 0.0))
    alone = replace(frame, right_image=None, stereo=None, camera=lens)
    config = EstimatorConfig(depth_source="shading", intrinsics=IntrinsicsConfig("fixed"))
    update = Estimator(config).estimate(alone, StageClock())
    assert not update.depth.camera.distorted
    assert update.intrinsics.camera.distorted
    assert not np.array_equal(update.image, alone.image)
