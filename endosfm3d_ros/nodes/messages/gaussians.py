"""The tissue map as a GaussianMap message."""

from __future__ import annotations

import array

import numpy as np
from scipy.spatial.transform import Rotation

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.msg import GaussianMap
from endosfm3d_ros.nodes.messages.conversions import byte_array, header
from endosfm3d_ros.nodes.messages.frames import FrameNames
from endosfm3d_ros.types import SceneUpdate


def gaussian_message(update: SceneUpdate, names: FrameNames) -> GaussianMap:
    """Every Gaussian in the optical frame of the update's image, in the order of its cloud."""
    view, alive = update.tissue, update.tissue.gaussians.alive()
    rows = {name: values[alive] for name, values in view.gaussians.rows.items()}
    T = se3.inverse(view.T_map_camera)
    turned = Rotation.from_matrix(T[:3, :3]) * Rotation.from_quat(rows["quats"], scalar_first=True)
    return GaussianMap(
        header=header(update.frame.stamp, names.camera),
        scale_source=update.depth.scale.value,
        count=len(alive),
        means=_floats(se3.transform(T, rows["means"])),
        quats=_floats(turned.as_quat(scalar_first=True)),
        scales=_floats(rows["scales"]),
        opacities=_floats(rows["opacities"]),
        colors=_floats(np.clip(rows["colors"], 0, 1)),
        confidence=_floats(view.cloud.confidence),
        labels=byte_array(view.cloud.labels),
    )


def _floats(values: np.ndarray) -> array.array:
    """The memory of an array as what rclpy assigns without a check per element."""
    data = array.array("f")
    data.frombytes(byte_array(values.astype(np.float32)).tobytes())
    return data
