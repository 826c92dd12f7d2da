"""The exported depth network, run by every engine that this machine has."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor

from endosfm3d_ros.networks.depth import DepthNetwork

LogitRunner = Callable[[Tensor], object]  # (1, 3, H, W) to a (1, 1, H, W) logit


def depth_logit_runners(
    network: DepthNetwork, size: tuple[int, int]
) -> Iterator[tuple[str, LogitRunner | None]]:
    """Name and runner of each engine; None where it is not available."""
    yield "openvino", None
