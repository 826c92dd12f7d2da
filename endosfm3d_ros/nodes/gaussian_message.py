"""The tissue map as a GaussianMap message."""

from __future__ import annotations

import array

import numpy as np
from scipy.spatial.transform import Rotation

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.msg import GaussianMap
from endosfm3d_ros.nodes.conversions import byte_array, header
from endosfm3d_ros.nodes.scene_messages import FrameNames
from endosfm3d_ros.tissue.gaussians import GaussianStore
from endosfm3d_ros.types import SceneUpdate


def gaussian_message(update: SceneUpdate, store: GaussianStore, names: FrameNames) -> GaussianMap:
    """Every Gaussian in the optical frame of the update's image, in the order of its cloud.

    Args:
        update: of one image.
        store: the map right after that image.
        names: of the frames.
    """
    view, alive = update.tissue, np.flatnonzero(store.alive)
    T = se3.inverse(view.T_map_camera)
    turned = Rotation.from_matrix(T[:3, :3]) * Rotation.from_quat(
        store.quats[alive], scalar_first=True
    )
    return GaussianMap(
        header=header(update.frame.stamp, names.camera),
        scale_source=update.depth.scale.value,
        count=len(alive),
        means=_floats(se3.transform(T, store.means[alive])),
        quats=_floats(turned.as_quat(scalar_first=True)),
        scales=_floats(store.scales[alive]),
        opacities=_floats(store.opacities[alive]),
        colors=_floats(np.clip(store.colors[alive], 0, 1)),
        confidence=_floats(view.cloud.confidence),
        labels=byte_array(view.cloud.labels),
    )


def _floats(values: np.ndarray) -> array.array:
    """The memory of an array as what rclpy assigns without a check per element."""
    data = array.array("f")
    data.frombytes(byte_array(values.astype(np.float32)).tobytes())
    return data
