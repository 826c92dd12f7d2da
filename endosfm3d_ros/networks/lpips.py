"""LPIPS with AlexNet (Zhang et al. 2018): how different two pictures look to a trained network.

The weights are not part of this package: a file with the state of the authors' `LPIPS(net="alex")`
is needed, `.pth` (tensors only) or `.safetensors`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.networks.checkpoint_files import read_tensors

# index in torchvision's AlexNet features, channels in and out, kernel, stride, padding
LAYERS = (
    (0, 3, 64, 11, 4, 2),
    (3, 64, 192, 5, 1, 2),
    (6, 192, 384, 3, 1, 1),
    (8, 384, 256, 3, 1, 1),
    (10, 256, 256, 3, 1, 1),
)
POOLED = (1, 2)  # layers with a maximum over 3 x 3, stride 2, before them
SHIFT = (-0.030, -0.088, -0.188)
SCALE = (0.458, 0.448, 0.450)


class Lpips(nn.Module):
    """The distance of two pictures, 0 for equal ones."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.ModuleList(nn.Conv2d(*layer[1:]) for layer in LAYERS)
        self.weights = nn.ModuleList(nn.Conv2d(layer[2], 1, 1, bias=False) for layer in LAYERS)

    @classmethod
    def load(cls, path: Path) -> Lpips:
        """The metric with the weights of a file.

        Raises:
            ConfigurationError: no such file, or not the state of LPIPS with AlexNet.
        """
        tensors = read_tensors(path)
        state = {}
        for k, (index, *_) in enumerate(LAYERS):
            for name in ("weight", "bias"):
                state[f"features.{k}.{name}"] = tensors.get(f"net.slice{k + 1}.{index}.{name}")
            state[f"weights.{k}.weight"] = tensors.get(f"lin{k}.model.1.weight")
        metric = cls()
        try:
            metric.load_state_dict(state)
        except (RuntimeError, AttributeError) as error:
            raise ConfigurationError(
                f"{path} is not the state of LPIPS with AlexNet: net.slice1.0.weight to "
                "net.slice5.10.bias and lin0.model.1.weight to lin4.model.1.weight are accepted"
            ) from error
        return metric.eval().requires_grad_(False)

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """(N,) distances of (N, 3, H, W) pictures in -1..1, at least 32 x 32 px."""
        total = a.new_zeros(len(a))
        pairs = zip(self._stages(a), self._stages(b), self.weights)
        for feature_a, feature_b, weight in pairs:
            difference = (_unit(feature_a) - _unit(feature_b)) ** 2
            total = total + weight(difference).mean(dim=(1, 2, 3))
        return total

    def _stages(self, image: Tensor) -> list[Tensor]:
        shift, scale = (image.new_tensor(values).view(1, 3, 1, 1) for values in (SHIFT, SCALE))
        value, stages = (image - shift) / scale, []
        for k, layer in enumerate(self.features):
            if k in POOLED:
                value = F.max_pool2d(value, 3, 2)
            value = F.relu(layer(value))
            stages.append(value)
        return stages

    def distance(self, image: np.ndarray, reference: np.ndarray) -> float:
        """Of two (H, W, 3) uint8 RGB pictures; small ones are padded with black to 64 px."""
        planes = []
        for picture in (image, reference):
            rows, columns = (max(0, 64 - length) for length in picture.shape[:2])
            padded = np.pad(picture, ((0, rows), (0, columns), (0, 0)))
            planes.append(torch.from_numpy(padded).permute(2, 0, 1)[None].float() / 127.5 - 1)
        with torch.inference_mode():
            return float(self(*planes)[0])


def _unit(features: Tensor) -> Tensor:
    """Of length one along the channels."""
    return features / (features.pow(2).sum(dim=1, keepdim=True).sqrt() + 1e-10)
