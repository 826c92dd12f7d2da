"""EndoSfM3D and EndoLRMGS as one live ROS 2 package."""

import os
from pkgutil import extend_path

# The generated `endosfm3d_ros.msg` may live in another folder than a source checkout:
# without this line the checkout would hide it.
__path__ = extend_path(__path__, __name__)

# NumPy's matrices are small here: waking a second thread for one costs far more than it saves,
# a hundred times more on a busy machine. Has no effect where NumPy was imported before.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
