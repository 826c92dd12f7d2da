"""From one image of a tool to its model: crop, network, surface, and the pose it was seen in."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from endosfm3d_ros.engines import Engine, EngineSettings, obtain_engine
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.tools.models.lrm.crop import SquareCrop, crop_around, released_squeeze
from endosfm3d_ros.tools.models.lrm.engine import lrm_recipe
from endosfm3d_ros.tools.types import ToolModel, ToolObservation

if TYPE_CHECKING:
    from endosfm3d_ros.networks.lrm import Radiance
    from endosfm3d_ros.tools.models.lrm.surface import SurfaceConfig

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReconstructionConfig:
    """How tools are reconstructed."""

    released_squeeze: bool = False  # True: the whole frame, squeezed, as the released code does
    surface: SurfaceConfig | None = None  # None: its defaults
    engine: EngineSettings = field(default_factory=EngineSettings)


class LrmSource:
    """Reconstructs tools; takes seconds on a processor, so call it beside the live path.

    Args:
        folder: `config.json` and `model.safetensors` as OpenLRM publishes them.
        config: options.

    Raises:
        ConfigurationError: files are missing or damaged, or no engine can run the network.
    """

    name = "lrm"
    slow = True

    def __init__(self, folder: Path, config: ReconstructionConfig | None = None) -> None:
        from endosfm3d_ros.networks.lrm.checkpoint import read_config

        self.folder, self.config = folder, config or ReconstructionConfig()
        self.size = read_config(folder).image_size

    @cached_property
    def engine(self) -> Engine:
        """The network; built, or read from the cache, at the first use."""
        return obtain_engine(lrm_recipe(self.folder, self.size), self.config.engine)

    @cached_property
    def radiance(self) -> Radiance:
        """Reads density and colour from the planes."""
        from endosfm3d_ros.networks.lrm import load_radiance

        return load_radiance(self.folder)

    def model(self, observation: ToolObservation) -> ToolModel:
        """The tool of an observation with an image, in units of the reconstruction.

        Raises:
            InputError: no image, an empty mask, or a density without a surface.
        """
        import torch

        from endosfm3d_ros.tools.models.lrm.surface import SurfaceConfig, coloured_mesh

        if observation.image is None:
            raise InputError("a tool cannot be reconstructed without an image")
        crop, shape, prepared = self.view(observation)
        planes = torch.from_numpy(self.engine.run({"image": prepared})["planes"][0])
        surface = self.config.surface or SurfaceConfig()
        vertices, faces, colors = coloured_mesh(self.radiance, planes, surface)
        birth = crop.birth(observation.camera)
        return ToolModel(vertices * shape, faces, colors, self.name, False, birth)

    def view(self, observation: ToolObservation) -> tuple[SquareCrop, np.ndarray, np.ndarray]:
        """Crop, (3,) stretch of the model that undoes a squeeze, and the network's input."""
        mask, camera = observation.mask, observation.camera
        crop, shape = crop_around(mask), np.ones(3, np.float32)
        if not self.config.released_squeeze:
            return crop, shape, crop.prepared(observation.image, mask, self.size)
        width, height = camera.size
        frame = SquareCrop(((width - 1) / 2, (height - 1) / 2), float(width))
        shape[1] = height / width
        return frame, shape, released_squeeze(observation.image, mask, self.size)
