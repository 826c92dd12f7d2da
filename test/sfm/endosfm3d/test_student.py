"""The starter set's networks through the same source, engines and gate as the published ones."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch

from endosfm3d_ros.engines import EngineSettings, TensorSpec, obtain_engine
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.networks.generated_weights import fill_with_generated_weights
from endosfm3d_ros.networks.pose_student import PoseStudent
from endosfm3d_ros.networks.students import DepthStudent, ToolStudent
from endosfm3d_ros.sfm.endosfm3d.arrays import camera_belief
from endosfm3d_ros.sfm.endosfm3d.confidence import expected_agreement
from endosfm3d_ros.sfm.endosfm3d.engines import depth_recipe, pose_recipe
from endosfm3d_ros.sfm.endosfm3d.source import EndoSfM3D, EndoSfM3DConfig
from endosfm3d_ros.sfm.endosfm3d.weights import WeightSet
from endosfm3d_ros.training.supervised.card import ModelCard, export
from endosfm3d_ros.training.supervised.loop import Schedule
from endosfm3d_ros.types import Frame, IntrinsicsEstimate, ScaleSource

SIZE = (64, 96)


@pytest.fixture
def starter(tmp_path):
    """A set of small networks with generated weights, as their training writes it."""
    folder = tmp_path / "starter"
    folder.mkdir()
    rendered = {"height": SIZE[0], "width": SIZE[1]}
    for name, made in (("depth", DepthStudent()), ("pose", PoseStudent(size=SIZE))):
        network = fill_with_generated_weights(made)
        if name == "pose":
            # equal images do not move, and the camera that was told stays
            answers = [look.answer for look in network.refiner.looks]
            for layer in (network.matcher.correction, *answers):
                torch.nn.init.zeros_(layer.weight)
                torch.nn.init.zeros_(layer.bias)
            network.matcher.temperature.data.fill_(4.0)  # like against like
            network.log_repeated.data.fill_(6.0)
        card = ModelCard.of(network, rendered, Schedule(steps=1), "none", 0.0)
        export(network, folder / f"{name}.safetensors", card)
    (folder / "weights.json").write_text(
        json.dumps({"network": "student", "input_size": list(SIZE)})
    )
    return WeightSet(folder)


def test_the_set_says_what_it_is(starter):
    assert starter.is_student and starter.has_pose
    assert starter.input_size == SIZE
    assert [path.name for path in starter.depth_files] == ["depth.safetensors"]
    card = json.loads((starter.folder / "depth.json").read_text())
    assert card["network"] == "DepthStudent" and card["licence"] == "Apache-2.0"
    (starter.folder / "pose.safetensors").unlink()
    assert not starter.has_pose


def test_engines_pass_the_gate_and_come_from_disk(starter, tmp_path):
    settings = EngineSettings(cache_dir=tmp_path / "cache", backends=("openvino",))
    for recipe in (depth_recipe(starter), pose_recipe(starter)):
        built = obtain_engine(recipe, settings)
        assert not built.info.cached
        assert max(built.info.errors.values()) < 1e-4
        assert obtain_engine(recipe, settings).info.cached


def test_a_whole_stream_runs(starter, tmp_path):
    settings = EngineSettings(cache_dir=tmp_path / "cache", backends=("torch",))
    source = EndoSfM3D.installed(EndoSfM3DConfig(weights=str(starter.folder), engines=settings))
    image = np.random.default_rng(0).integers(40, 200, (128, 192, 3), np.uint8)
    camera = PinholeCamera.default(192, 128)
    for i in range(2):
        frame = Frame(stamp=i, image=image)
        prior = source.motion_prior(frame)
        depth = source.estimate(frame, camera)
    assert depth.scale == ScaleSource.RELATIVE
    assert depth.depth.shape == depth.confidence.shape == (128, 192)
    assert np.isfinite(depth.depth).all()
    assert depth.confidence.min() >= 0 and depth.confidence.max() <= 1
    assert prior[0].shape == (4, 4)


def test_a_set_may_keep_its_cameras_to_itself(starter, tmp_path):
    path = starter.folder / "weights.json"
    settings = EngineSettings(cache_dir=tmp_path / "cache", backends=("torch",))
    image = np.random.default_rng(0).integers(40, 200, (128, 192, 3), np.uint8)
    for said, silent in (({}, False), ({"camera": False}, True)):
        path.write_text(json.dumps({"network": "student", "input_size": list(SIZE)} | said))
        config = EndoSfM3DConfig(weights=str(starter.folder), engines=settings)
        motion = EndoSfM3D.installed(config).motion(image, image)
        assert (motion.camera is None) == silent


def known_camera(camera, sigma):
    """An estimate with so much doubt about ln f."""
    covariance = np.diag([(sigma * camera.fx) ** 2] * 2 + [1.0, 1.0])
    return IntrinsicsEstimate(camera, covariance, "converging", 1, "estimate")


def test_what_is_known_of_the_camera_is_told_to_the_network():
    camera = PinholeCamera(640, 512, 520.0, 520.0, 330.0, 250.0)
    told = camera_belief(known_camera(camera, 0.02), (512, 640), (128, 160))
    np.testing.assert_allclose(told[0, :2], [math.log(520 / 640), 0.02], rtol=1e-5)
    np.testing.assert_allclose(told[0, 2:4], [330 / 640, 250 / 512], atol=5e-3)
    nothing = camera_belief(None, (1080, 1920), (128, 160))
    assert nothing[0, 1] == 0.25
    # an image of 16:9 is stretched to 5:4; its pixels were square
    assert nothing[0, 4] == pytest.approx(64 / 45)
    exact = camera_belief(known_camera(camera, 0.0), (512, 640), (128, 160))
    assert exact[0, 1] > 0  # a network cannot divide by nothing


def test_a_network_that_was_told_the_camera_is_no_second_witness(starter, tmp_path):
    """Its focal length lies near the told one however wrong that is, so nobody may fuse it."""
    settings = EngineSettings(cache_dir=tmp_path / "cache", backends=("torch",))
    config = EndoSfM3DConfig(weights=str(starter.folder), engines=settings)
    image = np.random.default_rng(0).integers(40, 200, (128, 192, 3), np.uint8)
    for focal in (150.0, 220.0):
        source = EndoSfM3D.installed(config)
        camera = PinholeCamera(192, 128, focal, focal, 96.0, 64.0)
        for i in range(2):
            prior = source.motion_prior(Frame(stamp=i, image=image), known_camera(camera, 0.02))
        assert not prior[1].independent
        assert prior[1].camera.fx == pytest.approx(focal, rel=0.05)


def test_another_size_is_refused(starter):
    with pytest.raises(ConfigurationError, match="accepts 64x96 only"):
        depth_recipe(starter, (256, 320))


def test_a_file_of_another_network_is_refused(starter, tmp_path):
    rendered = {"height": SIZE[0], "width": SIZE[1]}
    network = ToolStudent()
    card = ModelCard.of(network, rendered, Schedule(steps=1), "none", 0.0)
    export(network, starter.folder / "depth.safetensors", card)
    with pytest.raises(ConfigurationError, match="does not fit DepthStudent"):
        depth_recipe(starter).load()


def test_translation_comes_in_the_unit_of_the_depth(depth_engine, pose_engine, texture):
    """A share of 0.1 of a median depth of 12.5 is 1.25."""
    pose = pose_engine(lambda *_: ((0, 0, 0), (0.1, 0, 0), (0.3, 0.5, 0, 0)))
    axis, _, q = pose.outputs
    pose.outputs = (axis, TensorSpec("relative_translation", (1, 3)), q)
    inner = pose.function

    def renamed(pair):
        outputs = inner(pair)
        outputs["relative_translation"] = outputs.pop("translation")
        return outputs

    pose.function = renamed
    constant = lambda image: np.full(image.shape[:2], 12.5)  # noqa: E731
    source = EndoSfM3D(depth_engine(constant), pose)
    assert source.motion(texture, texture).T_current_previous[0, 3] == pytest.approx(1.25, rel=1e-3)
    for stamp in range(2):
        prior = source.motion_prior(Frame(stamp=stamp, image=texture))
        source.estimate(Frame(stamp=stamp, image=texture), PinholeCamera.default(160, 128))
    assert prior[0][0, 3] == pytest.approx(1.25, rel=1e-3)


def test_expected_errors_become_belief():
    log_error = np.log(np.float32([0.01, 0.1, 1.0]))
    np.testing.assert_allclose(expected_agreement(log_error, 0.1), [0.990, 0.5, 0.0099], atol=1e-3)


def test_the_answer_to_a_mirror_image_is_the_mirror_image_of_the_answer(starter):
    torch.manual_seed(0)
    image = torch.rand(1, 3, *SIZE)
    seen_twice = depth_recipe(starter).load()
    with torch.inference_mode():
        straight, mirrored = seen_twice(image), seen_twice(image.flip(3))
        once = seen_twice.network(image)[0]
    for one, other in zip(straight, mirrored):
        torch.testing.assert_close(other.flip(3), one, atol=1e-5, rtol=1e-4)
    assert (once - straight[0]).abs().max() > 1e-3  # a single look is not symmetrical


def test_half_precision_on_disk_changes_little(starter):
    torch.manual_seed(0)
    image = torch.rand(1, 3, *SIZE)
    stored = depth_recipe(starter).load().network
    original = fill_with_generated_weights(DepthStudent())
    with torch.inference_mode():
        difference = (stored(image)[0] - original(image)[0]).abs().max()
    assert difference < 0.05
