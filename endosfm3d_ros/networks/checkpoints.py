"""Loads the depth and pose networks from every layout in which their weights are published.

The files come from the user. Adapters are merged while loading, so the networks hold none.
"""

from __future__ import annotations

import json
from pathlib import Path

from torch import Tensor, nn

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.networks.checkpoint_files import listed, read_tensors
from endosfm3d_ros.networks.checkpoint_keys import (
    COMPONENT_KEYS,
    DEPTH_KEYS,
    POSE_DECODER_KEYS,
    POSE_ENCODER_KEYS,
    KeyTable,
    unwrapped,
)
from endosfm3d_ros.networks.depth import DepthNetwork
from endosfm3d_ros.networks.dora import DoRAConfig, attach_adapters, merged_weight
from endosfm3d_ros.networks.flow import FlowNetwork, FlowNetworkConfig
from endosfm3d_ros.networks.pose import PoseNetwork

WHOLE_DEPTH_FILES = ("depth_model.pth", "depth.pth", "full_model.pth")
PARTS = "depth_model-?????-of-?????.safetensors"  # as `train depth --plan gpu` writes them
ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_FILES = ("adapter_model.safetensors", "adapter_model.bin")
BASE_FILES = ("model.safetensors", "pytorch_model.bin")  # as published on Hugging Face
POSE_FILES = ("pose_encoder.pth", "pose.pth")


def load_depth_network(path: Path | str, base: Path | str | None = None) -> DepthNetwork:
    """Depth network in evaluation mode from a file or folder.

    Accepted: a folder with `depth_model.pth`, `depth.pth` or `full_model.pth`; a folder with all
    parts of `depth_model-00001-of-00004.safetensors` and so on; a folder with a
    peft adapter (`adapter_config.json`, `adapter_model.safetensors`) and `head.pth`, whose base
    is `base` or a `model.safetensors` in that folder; a folder or file of Depth Anything V2
    Small with Hugging Face names. Other files in the folder are ignored.

    Raises:
        ConfigurationError: nothing readable there, or missing, extra or misshaped tensors.
    """
    path = Path(path)
    if (path / ADAPTER_CONFIG).is_file() and not first_file(path, WHOLE_DEPTH_FILES):
        tensors, alpha = read_adapter_folder(path, Path(base) if base is not None else None)
        return depth_network(tensors, str(path), alpha)
    file = path if path.is_file() else first_file(path, WHOLE_DEPTH_FILES + BASE_FILES)
    if file is None and (parts := sorted(path.glob(PARTS))):
        tensors = {name: value for part in parts for name, value in read_tensors(part).items()}
        return depth_network(depth_tensors(tensors), str(path))
    if file is None:
        raise ConfigurationError(
            nothing_found(path, (*WHOLE_DEPTH_FILES, ADAPTER_CONFIG, *BASE_FILES))
        )
    return depth_network(depth_tensors(read_tensors(file)), str(file))


def load_pose_network(path: Path | str) -> PoseNetwork:
    """Pose and intrinsics network in evaluation mode from a folder with its two files.

    Raises:
        ConfigurationError: a file is absent, or tensors are missing, extra or misshaped.
    """
    path = Path(path)
    files = [first_file(path, (name,)) for name in POSE_FILES]
    if not all(files):
        raise ConfigurationError(nothing_found(path, POSE_FILES, every=True))
    encoder, decoder = (read_tensors(file) for file in files)
    return pose_network(encoder, decoder, str(path))


def depth_network(
    tensors: dict[str, Tensor], source: str, alpha: float = DoRAConfig.alpha
) -> DepthNetwork:
    """Depth network from tensors with own names (`depth_tensors`), adapters merged."""
    network = DepthNetwork()
    fill_exactly(network, merge_adapters_into(tensors, alpha, source), [DEPTH_KEYS], source)
    return network.eval()


def adapted_depth_network(tensors: dict[str, Tensor]) -> DepthNetwork:
    """Depth network with its adapters beside the weights, from tensors with own names."""
    network = DepthNetwork()
    attach_adapters(network)
    fill_exactly(network, tensors, [DEPTH_KEYS], "adapted weights")
    return network.eval()


def depth_tensors(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors of the depth network under own names; an adapter keeps its tensors."""
    return own_tensors(published, DEPTH_KEYS)


def pose_network(
    encoder: dict[str, Tensor], decoder: dict[str, Tensor], source: str
) -> PoseNetwork:
    """Pose network from the published tensors of `pose_encoder.pth` and `pose.pth`."""
    network = PoseNetwork()
    tensors = own_tensors(encoder, POSE_ENCODER_KEYS) | own_tensors(decoder, POSE_DECODER_KEYS)
    fill_exactly(network, tensors, [POSE_ENCODER_KEYS, POSE_DECODER_KEYS], source)
    return network.eval()


def flow_network(
    config: FlowNetworkConfig, encoder: dict[str, Tensor], decoder: dict[str, Tensor], source: str
) -> FlowNetwork:
    """Flow network from published tensors of `position*.pth` or `transform*.pth`."""
    network = FlowNetwork(config)
    name = "transform" if config.bounded else "position"
    tables = [COMPONENT_KEYS[f"{name}_encoder"], COMPONENT_KEYS[name]]
    tensors = own_tensors(encoder, tables[0]) | own_tensors(decoder, tables[1])
    fill_exactly(network, tensors, tables, source)
    return network.eval()


def own_tensors(published: dict[str, Tensor], table: KeyTable) -> dict[str, Tensor]:
    """Tensors under own names, without those that no forward pass uses."""
    plain = {unwrapped(key): value for key, value in published.items()}
    return {table.own(key): value for key, value in plain.items() if table.uses(key)}


def read_adapter_folder(path: Path, base: Path | None) -> tuple[dict[str, Tensor], float]:
    """Base, adapter and head of a peft folder under own names, and the adapter's alpha."""
    adapter_file = first_file(path, ADAPTER_FILES)
    base_file = base or first_file(path, BASE_FILES)
    if base_file is not None and base_file.is_dir():
        base_file = first_file(base_file, BASE_FILES)
    if adapter_file is None or not (path / "head.pth").is_file():
        raise ConfigurationError(nothing_found(path, (ADAPTER_FILES[0], "head.pth"), every=True))
    if base_file is None:
        raise ConfigurationError(
            f"adapter folder {path} needs its base: give the model.safetensors of Depth Anything "
            "V2 Small, or put it into that folder"
        )
    adapter = {
        f"backbone.{key.removeprefix('backbone.')}": value
        for key, value in ((unwrapped(k), v) for k, v in read_tensors(adapter_file).items())
    }
    head = {f"head.{key}": value for key, value in read_tensors(path / "head.pth").items()}
    tensors = depth_tensors(read_tensors(base_file)) | depth_tensors(adapter) | head
    return tensors, adapter_alpha(path / ADAPTER_CONFIG)


def adapter_alpha(path: Path) -> float:
    """`lora_alpha` of a peft configuration that describes a plain DoRA adapter."""
    try:
        config = json.loads(path.read_text())
        alpha = float(config["lora_alpha"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} is no adapter configuration with lora_alpha") from error
    variants = [
        name for name in ("use_rslora", "rank_pattern", "alpha_pattern") if config.get(name)
    ]
    if variants:
        raise ConfigurationError(f"{path} sets {listed(variants)}, only plain DoRA is accepted")
    return alpha


def merge_adapters_into(tensors: dict[str, Tensor], alpha: float, source: str) -> dict[str, Tensor]:
    """The same tensors with every adapter merged into the weight beside it."""
    merged = dict(tensors)
    for key in [key for key in tensors if key.endswith(".lora_A")]:
        layer = key.removesuffix(".lora_A")
        names = [f"{layer}.{part}" for part in ("weight", "lora_A", "lora_B", "magnitude")]
        absent = [DEPTH_KEYS.published(name) for name in names if name not in tensors]
        if absent:
            raise ConfigurationError(f"{source}: a DoRA adapter lacks {listed(absent)}")
        weight, lora_A, lora_B, magnitude = (merged.pop(name) for name in names)
        rank = lora_A.shape[0]
        if lora_B.shape != (weight.shape[0], rank) or magnitude.shape != weight.shape[:1]:
            raise ConfigurationError(
                f"{source}: adapter of {DEPTH_KEYS.published(layer)} has shapes "
                f"{tuple(lora_A.shape)}, {tuple(lora_B.shape)}, {tuple(magnitude.shape)}, "
                f"which do not fit a weight of {tuple(weight.shape)}"
            )
        merged[names[0]] = merged_weight(weight, lora_A, lora_B, magnitude, alpha / rank)
    return merged


def fill_exactly(
    network: nn.Module, tensors: dict[str, Tensor], tables: list[KeyTable], source: str
) -> None:
    """Copy tensors into a network that must need exactly these.

    Raises:
        ConfigurationError: names the first missing, extra and misshaped tensors.
    """
    expected = network.state_dict()

    def published(key: str) -> str:
        return next((name for t in tables if (name := t.published(key)) != key), key)

    missing = [published(key) for key in expected if key not in tensors]
    extra = [published(key) for key in tensors if key not in expected]
    misshaped = [
        f"{published(key)} {tuple(tensors[key].shape)} instead of {tuple(expected[key].shape)}"
        for key in expected
        if key in tensors and tensors[key].shape != expected[key].shape
    ]
    found = {"missing": missing, "extra": extra, "misshaped": misshaped}
    problems = [f"{len(keys)} {kind} ({listed(keys)})" for kind, keys in found.items() if keys]
    if problems:
        kind = type(network).__name__
        raise ConfigurationError(f"{source} does not fit {kind}: {'; '.join(problems)}")
    network.load_state_dict(tensors)


def first_file(folder: Path, names: tuple[str, ...]) -> Path | None:
    """The first of these files that the folder has, as published or converted to safetensors."""
    for name in names:
        for path in (folder / name, (folder / name).with_suffix(".safetensors")):
            if path.is_file():
                return path
    return None


def nothing_found(path: Path, names: tuple[str, ...], every: bool = False) -> str:
    """One sentence that says what is accepted and which folders below would do."""
    if not path.exists():
        return f"weights {path} do not exist"
    below = sorted({str(file.parent) for name in names for file in path.glob(f"*/{name}")})
    hint = f"; folders below that have one: {listed(below)}" if below else ""
    wanted = "all of" if every else "one of"
    return f"{path} is no folder with {wanted} {', '.join(names)}{hint}"
