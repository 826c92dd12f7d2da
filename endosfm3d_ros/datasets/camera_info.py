"""The readers' name for `inputs.cameras`."""

from endosfm3d_ros.inputs.cameras import camera_from_info, rescaled, stereo_from_infos

__all__ = ["camera_from_info", "rescaled", "stereo_from_infos"]
