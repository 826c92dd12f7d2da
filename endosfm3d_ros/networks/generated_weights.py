"""Deterministic weights for benchmarks and tests where no trained ones are installed.

Every tensor is drawn from (seed, its name); scales follow the kind of layer, so that activations
keep their size through the network and the outputs lie where trained networks put them: depths of
1 to 100 units, motions of a few hundredths, a focal length near 0.8 of the width.
"""

from __future__ import annotations

import math
import zlib

import torch
from torch import nn

HEAD_BIAS = {  # last layers: where the output should lie
    "head.conv3": (-5.0,),  # logit: disparity 0.007, depth about 13
    "decoder.camera3": (0.3, 0.5, 0.0, 0.0),  # fx = 0.8 W, fy = 1.0 H, principal point centred
}
HEAD_GAIN = {"head.conv3": 0.5, "decoder.motion3": 60.0, "decoder.camera3": 0.2}  # motion x 0.001


def fill_with_generated_weights(module: nn.Module, seed: int = 0) -> nn.Module:
    """The module itself, filled and in evaluation mode."""
    with torch.no_grad():
        for path, layer in module.named_modules():
            for name, tensor in layer.named_parameters(recurse=False):
                generator = torch.Generator().manual_seed(
                    zlib.crc32(f"{seed}:{path}.{name}".encode())
                )
                noise = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(_value(path, name, layer, noise))
    return module.eval()


def _value(path: str, name: str, layer: nn.Module, noise: torch.Tensor) -> torch.Tensor:
    """A parameter of the size that its layer usually has."""
    if name == "bias":
        return 0.05 * noise + torch.tensor(HEAD_BIAS.get(path, (0.0,)))
    if isinstance(layer, (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm2d)):
        return 1 + 0.1 * noise
    if name.startswith("scale"):  # layer scale of the transformer
        return 0.5 + 0.1 * noise
    if name in ("position_embedding", "pos_embed", "class_token"):
        return 0.2 * noise
    if name.endswith("bias"):
        return 0.05 * noise
    return HEAD_GAIN.get(path, 1.0) * noise / math.sqrt(_fan_in(layer, noise))


def _fan_in(layer: nn.Module, weight: torch.Tensor) -> int:
    """Numbers that are summed into one output."""
    if isinstance(layer, nn.ConvTranspose2d):
        strides = layer.stride[0] * layer.stride[1]
        return max(1, weight.shape[0] * weight[0, 0].numel() // strides)
    return weight[0].numel()
