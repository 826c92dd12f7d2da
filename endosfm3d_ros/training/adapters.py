"""DoRA adapters of the depth network through peft, and the adapter folder that peft reads.

The folder holds adapter_config.json and adapter_model.safetensors for the backbone with the names
of transformers 4, `head.pth`, and the base as model.safetensors, so it is complete by itself.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import safetensors.torch
import torch
from torch import Tensor

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.networks.checkpoint_keys import DEPTH_KEYS
from endosfm3d_ros.networks.checkpoints import ADAPTER_FILES, BASE_FILES
from endosfm3d_ros.networks.depth import DepthNetwork
from endosfm3d_ros.networks.dora import DoRAConfig

if TYPE_CHECKING:
    from peft import LoraConfig

BASE_LAYER = ".base_layer."  # peft: the linear layer under an adapter
PEFT_PREFIX = "base_model.model."  # in front of every name in a peft file


def peft_config(config: DoRAConfig) -> LoraConfig:
    """The adapter in peft's words.

    Raises:
        ConfigurationError: peft is not installed.
    """
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise ConfigurationError(
            "training needs peft: install the requirements of resource/requirements/train.txt"
        ) from error
    return LoraConfig(
        task_type="FEATURE_EXTRACTION",
        r=config.rank,
        lora_alpha=config.alpha,
        lora_dropout=config.dropout,
        target_modules=sorted(config.targets),
        use_dora=True,
    )


def attach_peft_adapters(network: DepthNetwork, config: DoRAConfig) -> None:
    """Put a fresh adapter, which changes nothing yet, beside every query and value layer."""
    settings = peft_config(config)
    from peft import inject_adapter_in_model

    inject_adapter_in_model(settings, network.backbone)


def base_tensors(network: DepthNetwork) -> dict[str, Tensor]:
    """The depth network without its adapters, under the names of transformers 4."""
    plain = {
        key.replace(BASE_LAYER, "."): value
        for key, value in network.state_dict().items()
        if "lora_" not in key
    }
    return {DEPTH_KEYS.published(key): value.cpu().contiguous() for key, value in plain.items()}


def adapter_tensors(network: DepthNetwork) -> dict[str, Tensor]:
    """The adapters as peft stores them."""
    from peft import get_peft_model_state_dict

    own = get_peft_model_state_dict(network.backbone)
    return {
        PEFT_PREFIX + published_in_backbone(key): value.cpu().contiguous()
        for key, value in own.items()
    }


def published_in_backbone(key: str) -> str:
    """Name below the backbone in transformers 4 of a name below our backbone."""
    return DEPTH_KEYS.published(f"backbone.{key}").removeprefix("backbone.")


def save_adapter(network: DepthNetwork, config: DoRAConfig, folder: Path) -> None:
    """Write adapter, head and base into an existing folder."""
    settings = peft_config(config)
    settings.inference_mode = True
    settings.save_pretrained(str(folder))
    safetensors.torch.save_file(adapter_tensors(network), folder / ADAPTER_FILES[0])
    head = {key: value.cpu() for key, value in network.head.state_dict().items()}
    torch.save(head, folder / "head.pth")
    safetensors.torch.save_file(base_tensors(network), folder / BASE_FILES[0])
