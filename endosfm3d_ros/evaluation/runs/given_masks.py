"""A clip whose frames carry its reference masks, as if somebody published them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.types import Frame


class GivenMasks(Sequence):
    """The frames of a clip with its instruments as labels; references are asked of the clip."""

    def __init__(self, sequence: Sequence) -> None:
        self._sequence = sequence
        self.name, self.fps = sequence.name, sequence.fps
        self.camera, self.stereo = sequence.camera, sequence.stereo

    def __len__(self) -> int:
        return len(self._sequence)

    def __iter__(self) -> Iterator[Frame]:
        for i, frame in enumerate(self._sequence):
            labels, mask = self._sequence.instances(i), self._sequence.mask(i)
            if labels is None and mask is not None:
                labels = mask.astype(np.uint8)
            yield frame if labels is None else replace(frame, tool_labels=labels)
