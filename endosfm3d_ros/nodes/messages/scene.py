"""What one scene update says of camera, depth and the whole scene, in ROS messages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

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
from endosfm3d_ros.nodes.messages.frames import FrameNames
from endosfm3d_ros.nodes.messages.output import Output, PublishContext, Topic
from endosfm3d_ros.scene.cloud import cloud_from_depth
from endosfm3d_ros.types import SceneUpdate


class CameraOutput(Output):
    """Where the camera is, and which camera it is: small, and with every update."""

    topics: ClassVar = {
        "odometry": Topic(Odometry, "the camera in odom; never jumps", always=True),
        "camera_pose": Topic(
            PoseWithCovarianceStamped, "the camera in the map; may jump", always=True
        ),
        "camera_info": Topic(
            CameraInfo, "of the raw image: the camera that the depth goes with", always=True
        ),
        "intrinsics": Topic(
            IntrinsicsEstimate, "with covariance, state, count", latched=True, always=True
        ),
    }

    def messages(
        self, update: SceneUpdate, context: PublishContext
    ) -> Iterator[tuple[str, object]]:
        """Poses first: others wait for them."""
        names = context.names
        yield from pose_messages(update, names).items()
        yield from camera_messages(update, names).items()


class DepthOutput(Output):
    """Depth images."""

    topics: ClassVar = {
        "depth/image": Topic(
            Image, "32FC1, metres along z, NaN invalid; feeds depth_image_proc as it is"
        ),
        "depth/camera_info": Topic(CameraInfo, "of the depth image"),
        "depth/confidence": Topic(Image, "32FC1, 0..1"),
    }

    def messages(
        self, update: SceneUpdate, context: PublishContext
    ) -> Iterator[tuple[str, object]]:
        """Those that are wanted."""
        if context.wanted.isdisjoint(self.topics):
            return
        made = depth_messages(update, context.names)
        yield from ((topic, made[topic]) for topic in made if topic in context.wanted)


class CloudOutput(Output):
    """The complete scene as one cloud."""

    topics: ClassVar = {
        "points": Topic(
            PointCloud2,
            "x y z rgb normal confidence label: the scene in the optical frame, tissue and tools "
            "(label 16 + id); limited in rate and size",
        )
    }

    def messages(
        self, update: SceneUpdate, context: PublishContext
    ) -> Iterator[tuple[str, object]]:
        """The cloud where clouds are due."""
        if context.clouds and "points" in context.wanted:
            yield "points", points_message(update, context.names, context.max_points)


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
    """The camera of the raw image that depth goes with, and what self-calibration says of it.

    They differ where depth has a calibration of its own: that of a pair, or of given depth.
    """
    estimate, where = update.intrinsics, (update.frame.stamp, names.camera)
    camera = estimate.camera
    return {
        "camera_info": camera_info_message(update.lens, *where),
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
