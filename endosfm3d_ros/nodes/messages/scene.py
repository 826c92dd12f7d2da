"""What one scene update says in ROS messages. The node publishes them, `run` writes them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from geometry_msgs.msg import PoseWithCovarianceStamped, TransformStamped
from nav_msgs.msg import Odometry
from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.msg import IntrinsicsEstimate
from endosfm3d_ros.nodes.messages.cloud import cloud_message
from endosfm3d_ros.nodes.messages.conversions import (
    camera_info_message,
    header,
    image_message,
    pose_message,
    transform_message,
)
from endosfm3d_ros.scene.cloud import cloud_from_depth
from endosfm3d_ros.types import SceneUpdate

# topic below the node's own name -> message type; everything an update can become
TOPICS = {
    "depth/image": Image,
    "depth/camera_info": CameraInfo,
    "depth/confidence": Image,
    "camera_info": CameraInfo,
    "intrinsics": IntrinsicsEstimate,
    "odometry": Odometry,
    "camera_pose": PoseWithCovarianceStamped,
    "points": PointCloud2,
}


@dataclass(frozen=True)
class FrameNames:
    """TF names of an output."""

    map: str = "endoscope_map"
    odom: str = "endoscope_odom"
    camera: str = "endoscope_left_optical_frame"


def depth_messages(update: SceneUpdate, names: FrameNames) -> dict[str, Image | CameraInfo]:
    """Depth in metres along z (REP 118, NaN invalid as in REP 117), its confidence and camera."""
    depth = update.depth
    where = (update.frame.stamp, names.camera)
    return {
        "depth/image": image_message(depth.depth, "32FC1", *where),
        "depth/confidence": image_message(depth.confidence, "32FC1", *where),
        "depth/camera_info": camera_info_message(depth.camera, *where),
    }


def camera_messages(
    update: SceneUpdate, names: FrameNames
) -> dict[str, CameraInfo | IntrinsicsEstimate]:
    """The self-estimated camera of the raw image, and what it is worth."""
    estimate, where = update.intrinsics, (update.frame.stamp, names.camera)
    camera = estimate.camera
    return {
        "camera_info": camera_info_message(camera, *where),
        "intrinsics": IntrinsicsEstimate(
            header=header(*where),
            width=camera.width,
            height=camera.height,
            fx=camera.fx,
            fy=camera.fy,
            cx=camera.cx,
            cy=camera.cy,
            covariance=estimate.covariance.ravel(),
            state=estimate.state,
            count=estimate.count,
            mode=estimate.mode,
        ),
    }


def pose_messages(
    update: SceneUpdate, names: FrameNames
) -> dict[str, Odometry | PoseWithCovarianceStamped]:
    """The camera in odom, which never jumps, and in the map, which may."""
    pose, stamp = update.pose, update.frame.stamp
    odometry = Odometry(header=header(stamp, names.odom), child_frame_id=names.camera)
    odometry.pose.pose = pose_message(pose.T_odom_camera)
    odometry.pose.covariance = pose.covariance.ravel()
    odometry.twist.covariance = np.diag([-1.0, 0, 0, 0, 0, 0]).ravel()  # no twist is estimated
    camera_pose = PoseWithCovarianceStamped(header=header(stamp, names.map))
    camera_pose.pose.pose = pose_message(pose.T_map_camera)
    camera_pose.pose.covariance = pose.covariance.ravel()
    return {"odometry": odometry, "camera_pose": camera_pose}


def points_message(update: SceneUpdate, names: FrameNames, max_points: int) -> PointCloud2:
    """The complete scene in the optical frame: tissue, and tools where they are placed."""
    if update.tissue is None and update.tools is None:
        cloud = cloud_from_depth(update.depth, update.image, max_points)
    else:
        from endosfm3d_ros.scene.complete import complete_cloud

        cloud = complete_cloud(update, max_points)
    return cloud_message(cloud, update.frame.stamp, names.camera)


def transforms(
    update: SceneUpdate, names: FrameNames, inverted: bool = False
) -> list[TransformStamped]:
    """map -> odom -> camera, or the same edges turned round below the camera frame."""
    pose, stamp = update.pose, update.frame.stamp
    edges = [
        (pose.T_map_odom, names.map, names.odom),
        (pose.T_odom_camera, names.odom, names.camera),
    ]
    if inverted:
        edges = [(se3.inverse(T), child, parent) for T, parent, child in reversed(edges)]
    return [transform_message(T, stamp, parent, child) for T, parent, child in edges]


def named(names: FrameNames, camera: str) -> FrameNames:
    """The same names with another camera frame."""
    return replace(names, camera=camera)
