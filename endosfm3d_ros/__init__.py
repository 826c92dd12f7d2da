"""EndoSfM3D and EndoLRMGS as one live ROS 2 package."""

import sys
from pkgutil import extend_path

# The generated `endosfm3d_ros.msg` may live in another folder than a source checkout:
# without this line the checkout would hide it.
__path__ = extend_path(__path__, __name__)

# OpenVINO, and what works with it, report their use to a server of analytics through this package
# unless somebody declined. A machine in a hospital reports nothing: whatever imports it finds that
# it is not installed, which all of them know how to go on with.
sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]
