"""The scene of the live page: the newest cloud in the map frame, path, camera and distances."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo, PointCloud2

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.msg import ToolClearance
from endosfm3d_ros.nodes.messages.cloud import CLOUD_DTYPE
from endosfm3d_ros.nodes.messages.conversions import nanoseconds
from endosfm3d_ros.scene.film import COLOURS
from endosfm3d_ros.types import Cloud, CloudLabel
from endosfm3d_ros.web import scene_data

PATH = 600  # poses that are shown
MAX_POINTS = 40_000
NEAR, FAR = (0.95, 0.3, 0.25), (0.5, 0.9, 0.55)  # colours of a distance line
CLOSE = 0.005  # m, below which the line is red


class LiveScene:
    """Takes poses and cameras as they come; `packed` joins them to a cloud by its stamp."""

    def __init__(self) -> None:
        self._poses: deque[tuple[int, np.ndarray]] = deque(maxlen=PATH)
        self._camera: PinholeCamera | None = None

    def take_pose(self, stamp: int, T_map_camera: np.ndarray) -> None:
        """Where the camera was; a stamp before the last one begins another scene."""
        if self._poses and stamp < self._poses[-1][0]:
            self._poses.clear()
        self._poses.append((stamp, T_map_camera))

    def take_camera(self, message: CameraInfo) -> None:
        """The camera of the depth."""
        K = np.asarray(message.k).reshape(3, 3)
        if K[0, 0] > 0:
            self._camera = PinholeCamera.from_matrix(K, message.width, message.height)

    def packed(
        self, message: PointCloud2, clearances: Iterable[ToolClearance], metric: bool
    ) -> dict[str, Any]:
        """What the viewer draws.

        Args:
            message: cloud in the optical frame, with the fields of `CLOUD_DTYPE`.
            clearances: the newest of each instrument.
            metric: whether lengths are metres.
        """
        T = self._pose_at(nanoseconds(message.header.stamp))
        cloud = cloud_of(message)
        scene: dict[str, Any] = {"metres": metric, "lines": lines_of(cloud, clearances, T)}
        scene["cloud"] = scene_data.packed_cloud(as_tissue(cloud, T), MAX_POINTS)
        scene["path"] = scene_data.packed_path([pose for _, pose in self._poses])
        if self._camera is not None:
            scene["camera"] = scene_data.packed_camera(T, self._camera)
        return scene

    def _pose_at(self, stamp: int) -> np.ndarray:
        """The pose of an image, or the nearest that is known."""
        if not self._poses:
            return np.eye(4)
        return min(self._poses, key=lambda each: abs(each[0] - stamp))[1]


def cloud_of(message: PointCloud2) -> Cloud:
    """The points of a message, in its frame."""
    rows = np.frombuffer(bytes(message.data), CLOUD_DTYPE, message.width * message.height)
    rows = rows[np.isfinite(rows["x"]) & np.isfinite(rows["y"]) & np.isfinite(rows["z"])]
    rgb = rows["rgb"]
    colours = np.stack([rgb >> 16 & 255, rgb >> 8 & 255, rgb & 255], axis=1).astype(np.uint8)
    return Cloud(
        points=np.stack([rows[axis] for axis in "xyz"], axis=1),
        colors=colours,
        normals=np.stack([rows[f"normal_{axis}"] for axis in "xyz"], axis=1),
        confidence=rows["confidence"].copy(),
        labels=rows["label"].copy(),
    )


def as_tissue(cloud: Cloud, T_map_camera: np.ndarray) -> Cloud:
    """The cloud in the map frame, its instruments in the colours of their ids."""
    colours, labels = cloud.colors.copy(), cloud.labels.copy()
    tools = labels >= CloudLabel.TOOL
    ids = labels[tools].astype(int) - int(CloudLabel.TOOL)
    facing = np.abs(np.nan_to_num(cloud.normals[tools, 2:], nan=1.0))  # lit from the camera
    named = np.array(COLOURS)[ids % len(COLOURS)]
    colours[tools] = (named * (0.4 + 0.6 * facing)).astype(np.uint8)
    labels[tools] = CloudLabel.MEASURED
    points = se3.transform(T_map_camera, cloud.points)
    return Cloud(points, colours, cloud.normals, cloud.confidence, labels)


def lines_of(
    cloud: Cloud, clearances: Iterable[ToolClearance], T_map_camera: np.ndarray
) -> list[list[Any]]:
    """[from, to, colour] in the map frame of every valid distance; none of others."""
    lines = []
    for found in clearances:
        on_tool = cloud.points[cloud.labels == CloudLabel.TOOL + found.id]
        if not found.valid or not len(on_tool):
            continue
        tissue = np.array([found.nearest.x, found.nearest.y, found.nearest.z])
        tool = on_tool[np.argmin(np.linalg.norm(on_tool - tissue, axis=1))]
        ends = se3.transform(T_map_camera, np.stack([tissue, tool]))
        lines.append([*ends.tolist(), NEAR if found.distance < CLOSE else FAR])
    return lines
