"""What one image says about where the Gaussians went: flow and depth at their pixels."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.tissue.appearance.visibility import Visibility, pixels_as_rays
from endosfm3d_ros.tissue.deformation.model_flow import FlowField
from endosfm3d_ros.tissue.deformation.solver import Samples
from endosfm3d_ros.tissue.observation import Observation
from endosfm3d_ros.tissue.store.gaussians import GaussianStore


def sample_motion(
    store: GaussianStore,
    visible: Visibility,
    seen: Observation,
    field: FlowField,
    T_map_camera: np.ndarray,
    depth_worth: float,
    count: int,
) -> Samples:
    """At most about `count` visible Gaussians with their measured places.

    Args:
        store: predicted Gaussians.
        visible: which of them the predicted view shows.
        seen: the image.
        field: flow from the predicted view to the image.
        T_map_camera: 4x4, the pose of the predicted view.
        depth_worth: weight of a certain depth beside a certain flow vector.
        count: limit.
    """
    camera = seen.camera
    # 1 visible Gaussians whose flow is believed, evenly thinned; parallax needs their depth
    weight = field.weight[visible.row, visible.column]
    usable = np.flatnonzero(visible.surface & (weight > 0) & ~store.guessed[visible.slots])
    usable = usable[:: max(1, len(usable) // count)]
    slots, row, column = visible.slots[usable], visible.row[usable], visible.column[usable]
    # 2 where they are predicted, and where the flow leads
    points = (store.means[slots] - T_map_camera[:3, 3]) @ T_map_camera[:3, :3]
    focal, centre = (camera.fx, camera.fy), (camera.cx, camera.cy)
    there = points[:, :2] / points[:, 2:] * focal + centre + field.flow[row, column]
    # 3 the depth that was measured there
    column = np.clip(np.rint(there[:, 0]).astype(np.int64), 0, camera.width - 1)
    row = np.clip(np.rint(there[:, 1]).astype(np.int64), 0, camera.height - 1)
    return Samples(
        index=store.node_index[slots],
        weight=store.node_weight[slots],
        points=points,
        rays=pixels_as_rays(camera, there),
        flow_weight=weight[usable].astype(np.float64),
        depth=seen.depth[row, column].astype(np.float64),
        depth_weight=depth_worth * seen.confidence[row, column].astype(np.float64),
    )
