"""Reads OpenLRM's published layout: `config.json` beside `model.safetensors`."""

from __future__ import annotations

import json
from pathlib import Path

import safetensors
import torch
from torch import Tensor

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.networks.checkpoint_files import read_tensors
from endosfm3d_ros.networks.checkpoint_keys import KeyTable
from endosfm3d_ros.networks.checkpoints import fill_exactly
from endosfm3d_ros.networks.lrm.config import LrmConfig
from endosfm3d_ros.networks.lrm.network import LrmNetwork
from endosfm3d_ros.networks.lrm.radiance import Radiance

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
RADIANCE_PREFIX = "synthesizer.decoder."

_ENCODER = "encoder.model"
_LAYER = "transformer.layers.*"
LRM_KEYS = KeyTable(
    [
        ("pos_embed", "queries"),
        (f"{_ENCODER}.cls_token", "encoder.class_token"),
        (f"{_ENCODER}.pos_embed", "encoder.position_embedding"),
        (f"{_ENCODER}.register_tokens", "encoder.register_tokens"),
        (f"{_ENCODER}.patch_embed.proj", "encoder.patches"),
        (f"{_ENCODER}.blocks.*.attn.q", "encoder.blocks.*.attention.query"),
        (f"{_ENCODER}.blocks.*.attn.k", "encoder.blocks.*.attention.key"),
        (f"{_ENCODER}.blocks.*.attn.v", "encoder.blocks.*.attention.value"),
        (f"{_ENCODER}.blocks.*.attn.proj", "encoder.blocks.*.attention.output"),
        (f"{_ENCODER}.blocks.*.ls1.gamma", "encoder.blocks.*.scale1"),
        (f"{_ENCODER}.blocks.*.ls2.gamma", "encoder.blocks.*.scale2"),
        (f"{_ENCODER}.blocks.*.mlp.fc1", "encoder.blocks.*.fc1"),
        (f"{_ENCODER}.blocks.*.mlp.fc2", "encoder.blocks.*.fc2"),
        (_ENCODER, "encoder"),
        ("camera_embedder.mlp", "camera_embedder"),
        *(
            (f"{_LAYER}.norm{i}.{published}", f"blocks.*.norm{i}.{own}")
            for i in (1, 2, 3)
            for published, own in (("mlp.1", "modulation"), ("norm", "norm"))
        ),
        *(
            (f"{_LAYER}.{published}_attn.{part}", f"blocks.*.{own}.{name}")
            for published, own in (("cross", "cross"), ("self", "self_"))
            for part, name in (
                ("q_proj_weight", "query.weight"),
                ("k_proj_weight", "key.weight"),
                ("v_proj_weight", "value.weight"),
                ("out_proj", "output"),
            )
        ),
        (f"{_LAYER}.mlp.0", "blocks.*.fc1"),
        (f"{_LAYER}.mlp.3", "blocks.*.fc2"),
        ("transformer.norm", "norm"),
        (RADIANCE_PREFIX.rstrip("."), "radiance"),
    ],
    unused=rf"^{_ENCODER}\.mask_token$",
)


def load_lrm(folder: Path) -> LrmNetwork:
    """The network of a folder as OpenLRM publishes it, in evaluation mode.

    Raises:
        ConfigurationError: a file is missing or damaged, or the tensors do not fit.
    """
    return lrm_network(read_config(folder), read_tensors(folder / WEIGHTS), str(folder / WEIGHTS))


def load_radiance(folder: Path) -> Radiance:
    """Only the small network that reads the planes, without loading the large rest.

    Raises:
        ConfigurationError: a file is missing or damaged, or the tensors do not fit.
    """
    path = folder / WEIGHTS
    radiance = Radiance(read_config(folder).triplane_dim)
    try:
        with safetensors.safe_open(path, "pt") as file:
            tensors = {
                key.removeprefix(RADIANCE_PREFIX): file.get_tensor(key)
                for key in file.keys()  # noqa: SIM118 - the file object is no mapping
                if key.startswith(RADIANCE_PREFIX)
            }
    except (OSError, safetensors.SafetensorError) as error:
        raise ConfigurationError(f"{path} is no readable safetensors file ({error})") from error
    fill_exactly(radiance, tensors, [LRM_KEYS], str(path))
    return radiance.eval()


def read_config(folder: Path) -> LrmConfig:
    """The configuration of a folder; `image_size` may be added to the published file."""
    path = folder / CONFIG
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read as JSON ({error})") from error
    return LrmConfig.from_json(content, content.get("image_size", LrmConfig.image_size))


def lrm_network(config: LrmConfig, published: dict[str, Tensor], source: str) -> LrmNetwork:
    """The network from published tensors.

    Raises:
        ConfigurationError: missing, extra or misshaped tensors.
    """
    with torch.device("meta"):
        network = LrmNetwork(config)
    network.to_empty(device="cpu")
    tensors = {
        LRM_KEYS.own(key): value for key, value in unfused(published).items() if LRM_KEYS.uses(key)
    }
    fill_exactly(network, tensors, [LRM_KEYS], source)
    return network.eval()


def unfused(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors with query, key and value apart.

    The encoder stores them as one `qkv`, the transformer as one `in_proj_weight` where all three
    have one width (the base model's both attentions).
    """
    apart: dict[str, Tensor] = {}
    for key, value in published.items():
        stem, _, leaf = key.rpartition(".")
        if stem.endswith("attn.qkv"):
            names = [f"{stem.removesuffix('qkv')}{part}.{leaf}" for part in "qkv"]
        elif leaf == "in_proj_weight":
            names = [f"{stem}.{part}_proj_weight" for part in "qkv"]
        else:
            apart[key] = value
            continue
        apart |= zip(names, value.chunk(3))
    return apart
