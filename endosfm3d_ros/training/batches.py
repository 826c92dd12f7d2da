"""What a training step looks at: a batch of image triplets."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

TARGET, NEIGHBOURS = 0, (1, 2)  # positions of frames 0, -1 and +1 in a triplet


@dataclass(frozen=True)
class TripletBatch:
    """Frames 0, -1 and +1 of B moments; images are RGB float32 in [0, 1]."""

    images: Tensor  # (3, B, 3, H, W) as the camera gave them
    jittered: Tensor  # (3, B, 3, H, W) as flow and pose networks see them
    depth_input: Tensor  # (B, 3, h, w) jittered target at the size of the depth network
    tissue: Tensor  # (3, B, 1, H, W) 1 where a pixel may be learnt from

    def to(self, device: torch.device) -> TripletBatch:
        """The same batch on a device."""
        moved = (getattr(self, field.name).to(device, non_blocking=True) for field in fields(self))
        return TripletBatch(*moved)
