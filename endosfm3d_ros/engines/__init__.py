"""Floor 2: networks as ready-to-run engines, built once and kept on disk.

    recipe = NetworkRecipe("depth", inputs, output_names, fingerprint, load_module)
    engine = obtain_engine(recipe, EngineSettings(precision="f32"))
    outputs = engine.run({"image": image})

A back end is one module in `backends/`. Every engine is compared with the torch network before
it is used; one that differs too much is refused and the next back end takes over.
"""

from endosfm3d_ros.engines.engine import Engine, EngineInfo, TensorSpec
from endosfm3d_ros.engines.obtain import obtain_engine
from endosfm3d_ros.engines.recipe import NetworkRecipe
from endosfm3d_ros.engines.settings import EngineSettings

__all__ = [
    "Engine",
    "EngineInfo",
    "EngineSettings",
    "NetworkRecipe",
    "TensorSpec",
    "obtain_engine",
]
