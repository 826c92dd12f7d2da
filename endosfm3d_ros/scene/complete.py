"""One cloud of everything: tissue seen and hidden, and instruments."""

from __future__ import annotations

import numpy as np

from endosfm3d_ros.scene.cloud import cloud_from_depth, joined, thinned
from endosfm3d_ros.tissue.store.snapshot import in_camera
from endosfm3d_ros.types import Cloud, CloudLabel, SceneUpdate


def complete_cloud(update: SceneUpdate, max_points: int) -> Cloud:
    """The scene in the camera frame, at most about `max_points` of tissue, and all tools.

    Tissue is the map where there is one, else what this frame's depth shows.
    """
    if update.tissue is None:
        parts = [cloud_from_depth(update.depth, update.image, max_points)]
    else:
        tissue = in_camera(update.tissue.cloud, update.tissue.T_map_camera)
        parts = [thinned(tissue, max_points)]
    return joined([*parts, *tool_clouds(update)])


def tool_clouds(update: SceneUpdate) -> list[Cloud]:
    """The surface of every placed and trusted tool, all around, labelled 16 + id."""
    clouds = []
    for tool in update.tools.tools if update.tools else ():
        if tool.placement is None or not (tool.placement.valid and tool.placement.trusted):
            continue
        surface = tool.model.surface
        count = len(surface.points)
        clouds.append(
            Cloud(
                points=tool.placement.points(surface.points).astype(np.float32),
                colors=surface.colors,
                normals=(surface.normals @ tool.placement.R.T).astype(np.float32),
                confidence=np.full(count, tool.placement.iou, np.float32),
                labels=np.full(count, min(255, CloudLabel.TOOL + tool.track.id), np.uint8),
            )
        )
    return clouds
