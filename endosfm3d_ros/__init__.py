"""EndoSfM3D and EndoLRMGS as one live ROS 2 package."""

from pkgutil import extend_path

# The generated `endosfm3d_ros.msg` may live in another folder than a source checkout:
# without this line the checkout would hide it.
__path__ = extend_path(__path__, __name__)
