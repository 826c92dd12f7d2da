"""EndoSfM3D and EndoLRMGS as one live ROS 2 package; also a library, which needs no ROS:

from endosfm3d_ros import Pipeline, open_sequence, save_cloud

pipeline = Pipeline()
for frame in open_sequence("my_clip"):
    scene = pipeline.process(frame)
save_cloud("scene.ply", scene)
"""

import importlib
import sys
from pkgutil import extend_path

__version__ = "0.1.0"

# The generated `endosfm3d_ros.msg` may live in another folder than a source checkout:
# without this line the checkout would hide it.
__path__ = extend_path(__path__, __name__)

# OpenVINO, and what works with it, report their use to a server of analytics through this package
# unless somebody declined. A machine in a hospital reports nothing: whatever imports it finds that
# it is not installed, which all of them know how to go on with.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

# What the library offers by its short name. Imported when first asked for: nodes and the command
# line import this package too, and start without what they do not use.
_HOMES = {
    "Pipeline": "endosfm3d_ros.pipeline.pipeline",
    "PipelineConfig": "endosfm3d_ros.pipeline.pipeline",
    "open_sequence": "endosfm3d_ros.datasets.open",
    "save_cloud": "endosfm3d_ros.scene.scene_cloud",
}
__all__ = ["__version__", *_HOMES]  # noqa: PLE0604


def __getattr__(name: str) -> object:
    """The public name from its module."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
