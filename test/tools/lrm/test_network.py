"""The reconstruction network: layout, camera, planes and points."""

import json
import shutil

import numpy as np
import pytest
import torch

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.evaluation.parity import openlrm
from endosfm3d_ros.evaluation.parity.golden import GoldenFolder
from endosfm3d_ros.networks.lrm import (
    LRM_BASE,
    LRM_LARGE,
    LRM_SMALL,
    LrmConfig,
    LrmNetwork,
    load_lrm,
    load_radiance,
    lrm_network,
)
from endosfm3d_ros.networks.lrm.radiance import Radiance, plane_features


@pytest.fixture(scope="module")
def image():
    return torch.rand((1, 3, 112, 112), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("fused", [False, True])
def test_both_published_layouts_load_and_say_the_same(network, published, image, fused):
    loaded = lrm_network(network.config, published(network, fused), "made here")
    with torch.inference_mode():
        torch.testing.assert_close(loaded(image), network(image))


def test_a_folder_loads_whole_and_its_decoder_alone(network, folder, image):
    with torch.inference_mode():
        torch.testing.assert_close(load_lrm(folder)(image), network(image))
    alone = load_radiance(folder)
    for key, value in network.radiance.state_dict().items():
        torch.testing.assert_close(alone.state_dict()[key], value)


def test_folding_the_camera_changes_no_plane_and_drops_its_weights(network, folder, image):
    folded = load_lrm(folder).fixed_for_export()
    with torch.inference_mode():
        torch.testing.assert_close(folded(image), network(image), rtol=1e-4, atol=1e-5)
    assert not [key for key in folded.state_dict() if "modulation" in key or "camera" in key]
    assert folded.fold_camera() is folded  # again, and nothing happens


def test_planes_depend_on_image_and_camera(network, image):
    with torch.inference_mode():
        planes = network(image)
        assert planes.shape == (1, 3, 16, 16, 16)
        tokens = network.encoder(image)
        elsewhere = network.triplane_tokens(tokens, network.source_embedding() + 0.5)
        assert (network.planes(elsewhere) - planes).abs().max() > 1e-2
        assert (network(image.flip(3)) - planes).abs().max() > 1e-2


def test_features_come_from_xy_xz_and_zy():
    planes = torch.zeros(3, 1, 4, 4)
    ramp = torch.linspace(-0.75, 0.75, 4)
    planes[0, 0], planes[1, 0], planes[2, 0] = ramp[None], ramp[:, None], ramp[None]
    point = torch.tensor([[0.1, -0.3, 0.5]])
    torch.testing.assert_close(plane_features(planes, point), torch.tensor([[0.1, 0.5, 0.5]]))
    outside = torch.tensor([[3.0, 3.0, 3.0]])
    assert not plane_features(planes, outside).any()


def test_tables_add_up_to_the_first_layer():
    torch.manual_seed(1)
    radiance, planes = Radiance(4), torch.randn(3, 4, 8, 8)
    axis = torch.linspace(-1, 1, 5)
    xy, xz, yz = radiance.axis_tables(planes, axis)
    grid = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    expected = radiance.net[0](plane_features(planes, grid)).reshape(5, 5, 5, 64)
    ours = xy[:, :, None] + xz[:, None] + yz[None]
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def test_published_sizes():
    with torch.device("meta"):
        base = LrmNetwork(LRM_BASE)
        others = [LrmNetwork(config) for config in (LRM_SMALL, LRM_LARGE)]
    assert sum(p.numel() for p in base.parameters()) == 260_201_972
    assert sum(p.numel() for p in base.radiance.parameters()) == 17_860
    assert others[0].planes(torch.zeros(1, 3072, 512, device="meta")).shape == (1, 3, 32, 64, 64)
    assert others[1].planes(torch.zeros(1, 3072, 1024, device="meta")).shape == (1, 3, 80, 64, 64)


def test_unusable_files_are_named(folder, tmp_path):
    with pytest.raises(ConfigurationError, match=r"config\.json"):
        load_lrm(tmp_path)
    broken = shutil.copytree(folder, tmp_path / "broken")
    (broken / "model.safetensors").write_bytes(b"nothing")
    for load in (load_lrm, load_radiance):
        with pytest.raises(ConfigurationError, match=r"model\.safetensors"):
            load(broken)
    content = json.loads((folder / "config.json").read_text())
    wider = shutil.copytree(folder, tmp_path / "wider")
    (wider / "config.json").write_text(json.dumps(content | {"triplane_dim": 24}))
    with pytest.raises(ConfigurationError, match="does not fit LrmNetwork"):
        load_lrm(wider)
    with pytest.raises(ConfigurationError, match="dinov2_vits14_reg, dinov2_vitb14_reg"):
        LrmConfig.from_json(content | {"encoder_model_name": "resnet"})
    with pytest.raises(ConfigurationError, match="without triplane_dim"):
        LrmConfig.from_json({k: v for k, v in content.items() if k != "triplane_dim"})
    with pytest.raises(ConfigurationError, match="doubles"):
        LrmConfig.from_json(content | {"triplane_high_res": 32})


def agrees(checks):
    failed = [(c.name, c.error, c.tolerance) for c in checks if c.ok is False]
    assert not failed


def test_the_small_golden_model_agrees(shared):
    agrees(openlrm.tiny_checks(GoldenFolder(shared / "golden")))


def test_golden_preparation_and_mesh_agree(shared):
    agrees(openlrm.io_checks(GoldenFolder(shared / "golden")))


@pytest.mark.slow
def test_the_base_golden_model_agrees(shared):
    agrees(openlrm.base_checks(GoldenFolder(shared / "golden")))


@pytest.mark.parametrize("mistake", ["antialias", "axes", "corners", "border"])
def test_typical_mistakes_are_seen(shared, monkeypatch, mistake):
    from endosfm3d_ros.networks.lrm import encoder, radiance

    functional = radiance.F

    def wrong(name, **changes):
        original = getattr(functional, name)
        monkeypatch.setattr(functional, name, lambda *a, **k: original(*a, **(k | changes)))

    if mistake == "antialias":
        wrong("interpolate", antialias=False)
    elif mistake == "axes":
        monkeypatch.setattr(radiance, "PLANE_AXES", ((0, 1), (0, 2), (1, 2)))
    elif mistake == "corners":
        wrong("grid_sample", align_corners=True)
    else:
        wrong("grid_sample", padding_mode="border")
    assert encoder.F is functional
    checks = openlrm.tiny_checks(GoldenFolder(shared / "golden"))
    names = {"antialias": "image_tokens_first8"}
    error = next(c for c in checks if c.name == names.get(mistake, "sigma"))
    assert not error.ok and error.error > 10 * error.tolerance


def test_points_outside_are_not_empty(network, image):
    with torch.inference_mode():
        sigma, rgb = network.radiance(network(image)[0], torch.full((1, 3), 2.0))
        none, _ = network.radiance(torch.zeros(3, 16, 16, 16), torch.zeros(1, 3))
    torch.testing.assert_close(sigma, none)
    assert np.isfinite(rgb.numpy()).all()
