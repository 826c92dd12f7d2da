"""Where tool models come from, behind one interface.

source = model_source("capsule")
model = source.model(observation)
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from endosfm3d_ros.engines import EngineSettings
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.tools.types import ToolModel, ToolObservation

SOURCES = ("articulated", "lrm", "mesh", "capsule")


class ModelSource(Protocol):
    """Gives the model of a tool that appeared."""

    name: str
    slow: bool  # a failure must not be followed by another attempt at once

    def model(self, observation: ToolObservation) -> ToolModel:
        """The model of the tool in an observation.

        Raises:
            InputError: the observation does not allow one; the sentence says why.
        """


def model_source(
    name: str,
    path: str = "",
    shaft_diameter: float = 0.008,
    engine: EngineSettings | None = None,
) -> ModelSource:
    """The source of that name.

    Args:
        name: articulated, lrm, mesh or capsule.
        path: the folder of the reconstruction model's weights (by default where `find_lrm` looks),
            or the mesh file; a capsule needs none.
        shaft_diameter: m, of a capsule or of jointed models; 0: measured by depth (capsule).
        engine: of the reconstruction network; None: the defaults.

    Raises:
        ConfigurationError: an unknown name, or a file that is missing.
        InputError: a mesh file that cannot be used.
    """
    if name == "lrm":
        from endosfm3d_ros.tools.models.lrm.engine import find_lrm
        from endosfm3d_ros.tools.models.lrm.source import LrmSource, ReconstructionConfig

        config = ReconstructionConfig(engine=engine or EngineSettings())
        return LrmSource(find_lrm(path), config)
    if name == "mesh" and not path:
        raise ConfigurationError(
            "tool models 'mesh' need tool_model_path (--tool-model-path): a mesh file in metres, "
            "or a folder of them"
        )
    if name == "articulated":
        from endosfm3d_ros.tools.models.jointed import ArticulatedSource, SelectionConfig

        return ArticulatedSource(SelectionConfig(diameter=shaft_diameter or 0.008))
    if name == "mesh":
        from endosfm3d_ros.tools.models.mesh_file import MeshSource

        return MeshSource(Path(path))
    if name == "capsule":
        from endosfm3d_ros.tools.models.capsule import CapsuleSource
        from endosfm3d_ros.tools.shapes.capsule_fit import CapsuleConfig

        if not shaft_diameter:
            return CapsuleSource(CapsuleConfig(diameter_from_depth=True))
        return CapsuleSource(CapsuleConfig(diameter=shaft_diameter))
    raise ConfigurationError(f"tool model source '{name}': accepted are {', '.join(SOURCES)}")
