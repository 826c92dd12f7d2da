"""A reconstruction model small enough to build in a moment, in the published layout."""

import json

import pytest
import safetensors.torch
import torch

from endosfm3d_ros.networks.generated_weights import fill_with_generated_weights
from endosfm3d_ros.networks.lrm import LrmConfig, LrmNetwork
from endosfm3d_ros.networks.lrm.checkpoint import LRM_KEYS
from endosfm3d_ros.networks.lrm.radiance import plane_features

SMALL = LrmConfig("dinov2_vits14_reg", 96, 2, 4, 8, 16, 16, camera_embed_dim=64, image_size=112)


def published_tensors(network, fused):
    """Its tensors under published names; `fused` as where all widths agree."""
    own = {LRM_KEYS.published(key): value for key, value in network.state_dict().items()}
    tensors = {}
    for key, value in own.items():
        stem, _, leaf = key.rpartition(".")
        if stem.endswith("attn.q"):
            parts = [own[f"{stem[:-1]}{part}.{leaf}"] for part in "qkv"]
            tensors[f"{stem[:-1]}qkv.{leaf}"] = torch.cat(parts)
        elif stem.endswith(("attn.k", "attn.v")):
            continue
        elif fused and leaf == "q_proj_weight" and "self_attn" in stem:
            parts = [own[f"{stem}.{part}_proj_weight"] for part in "qkv"]
            tensors[f"{stem}.in_proj_weight"] = torch.cat(parts)
        elif fused and leaf in ("k_proj_weight", "v_proj_weight") and "self_attn" in stem:
            continue
        else:
            tensors[key] = value
    return tensors | {"encoder.model.mask_token": torch.zeros(1, 384)}


@pytest.fixture(scope="session")
def published():
    return published_tensors


@pytest.fixture(scope="session")
def network():
    made = fill_with_generated_weights(LrmNetwork(SMALL))
    seeded = torch.Generator().manual_seed(0)  # the same whatever ran before
    with torch.inference_mode():  # densities on both sides of the threshold
        planes = made(torch.rand((1, 3, 112, 112), generator=seeded))[0]
        points = 2 * torch.rand((4096, 3), generator=seeded) - 1
        raw = made.radiance.net(plane_features(planes, points))[:, 0]
        last = made.radiance.net[-1]
        last.weight[0] *= 3 / raw.std()
        last.bias[0] += 3 - (raw * 3 / raw.std()).mean()
    return made


@pytest.fixture(scope="session")
def folder(network, tmp_path_factory):
    """As OpenLRM publishes it, with the input's side added."""
    path = tmp_path_factory.mktemp("lrm")
    content = {name: getattr(SMALL, name) for name in LrmConfig.__dataclass_fields__} | {
        "encoder_type": "dinov2"
    }
    (path / "config.json").write_text(json.dumps(content))
    tensors = {key: value.contiguous() for key, value in published_tensors(network, True).items()}
    safetensors.torch.save_file(tensors, path / "model.safetensors")
    return path
