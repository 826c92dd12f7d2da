"""The depth network with its pre- and post-processing on the GPU. Imports torch."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from endosfm3d_ros.engines.device_engine import DeviceEngine
from endosfm3d_ros.sfm.endosfm3d.answers import NetworkAnswer
from endosfm3d_ros.sfm.endosfm3d.arrays import MAX_DEPTH, MIN_DEPTH, check_image, resized_image


class DeviceForward:
    """As `HostForward`, within one grey level of its image. Not safe for threads."""

    def __init__(self, engine: DeviceEngine) -> None:
        self._engine, self._device = engine, engine.device
        self._size = engine.inputs[0].shape[2:]
        self._pinned: dict[str, Tensor] = {}
        self._weights: dict[tuple[int, int], Tensor] = {}

    def __call__(self, image: np.ndarray) -> NetworkAnswer:
        """Of an (H, W, 3) uint8 RGB image."""
        check_image(image)
        if image.shape[0] < self._size[0] or image.shape[1] < self._size[1]:
            image = resized_image(image, self._size)  # enlarging is for the host
        with torch.inference_mode():
            small = self._reduced(self._uploaded(image))
            tensor = (small / 255).permute(2, 0, 1)[None].contiguous()
            outputs = self._engine.run_tensors({"image": tensor})
            results = {"image": small.byte(), "fine": inverse_on_device(outputs["logit"])}
            if "log_error" in outputs:
                results["log_error"] = outputs["log_error"][0, 0]
            else:
                results["coarse"] = inverse_on_device(outputs["coarse_logit"])
            return NetworkAnswer(**self._downloaded(results))

    def _uploaded(self, image: np.ndarray) -> Tensor:
        """(H, W, 3) uint8 on the device."""
        staged = self._staged("upload", image.shape, torch.uint8)
        staged.copy_(torch.from_numpy(np.ascontiguousarray(image)))
        return staged.to(self._device, non_blocking=True)

    def _reduced(self, image: Tensor) -> Tensor:
        """(H, W, 3) uint8 to (h, w, 3) float32 of whole grey levels, averaged over areas."""
        rows = self._area_weights(image.shape[0], self._size[0])
        columns = self._area_weights(image.shape[1], self._size[1])
        return torch.einsum("hH,wW,HWc->hwc", rows, columns, image.float()).round()

    def _area_weights(self, source: int, target: int) -> Tensor:
        """(target, source) share of each source pixel in each target pixel."""
        if (source, target) not in self._weights:
            self._weights[source, target] = area_weights(source, target).to(self._device)
        return self._weights[source, target]

    def _downloaded(self, tensors: dict[str, Tensor]) -> dict[str, np.ndarray]:
        """New arrays of the host; waits for the device once."""
        for name, tensor in tensors.items():
            staged = self._staged(name, tensor.shape, tensor.dtype)
            staged.copy_(tensor, non_blocking=True)
        if self._device == "cuda":
            torch.cuda.current_stream().synchronize()
        return {name: self._pinned[name].numpy().copy() for name in tensors}

    def _staged(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """Host memory that the device can read and write, kept between images."""
        staged = self._pinned.get(name)
        if staged is None or staged.shape != torch.Size(shape):
            pinned = self._device == "cuda"
            staged = self._pinned[name] = torch.empty(shape, dtype=dtype, pin_memory=pinned)
        return staged


def area_weights(source: int, target: int) -> Tensor:
    """(target, source) float32: rows sum to 1; row i covers [i, i + 1) source / target pixels."""
    edges = torch.arange(target + 1, dtype=torch.float64) * source / target
    pixels = torch.arange(source, dtype=torch.float64)
    overlap = torch.minimum(edges[1:, None], pixels + 1) - torch.maximum(edges[:-1, None], pixels)
    return (overlap.clamp(min=0) * target / source).float()


def inverse_on_device(logit: Tensor) -> Tensor:
    """(1, 1, h, w) logit to (h, w) inverse depth in [1 / 150, 1 / 0.1]; NaN where not finite."""
    low, high = 1 / MAX_DEPTH, 1 / MIN_DEPTH
    inverse = low + (high - low) * torch.sigmoid(logit[0, 0].float())
    return torch.where(torch.isfinite(logit[0, 0]), inverse, torch.nan)
