"""The tissue map in ROS messages, as the camera would see it without instruments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import ClassVar

from sensor_msgs.msg import CameraInfo, Image, PointCloud2

from endosfm3d_ros.msg import GaussianMap
from endosfm3d_ros.nodes.messages.cloud import cloud_message
from endosfm3d_ros.nodes.messages.conversions import camera_info_message, image_message
from endosfm3d_ros.nodes.messages.frames import FrameNames
from endosfm3d_ros.nodes.messages.gaussians import gaussian_message
from endosfm3d_ros.nodes.messages.output import Output, PublishContext, Topic
from endosfm3d_ros.scene.cloud import thinned
from endosfm3d_ros.scene.composite import Compositor
from endosfm3d_ros.tissue.store.snapshot import in_camera
from endosfm3d_ros.types import SceneUpdate


def tissue_images(update: SceneUpdate, names: FrameNames) -> dict[str, Image | CameraInfo]:
    """Colour and depth of the map from the camera; NaN where the map is empty."""
    view, where = update.tissue, (update.frame.stamp, names.camera)
    return {
        "tissue/image": image_message(view.image, "rgb8", *where),
        "tissue/depth": image_message(view.depth, "32FC1", *where),
        "tissue/camera_info": camera_info_message(view.camera, *where),
    }


def tissue_points(update: SceneUpdate, names: FrameNames, max_points: int) -> PointCloud2:
    """The map's points in the optical frame, labelled measured, retained or inferred."""
    cloud = in_camera(update.tissue.cloud, update.tissue.T_map_camera)
    return cloud_message(thinned(cloud, max_points), update.frame.stamp, names.camera)


class TissueOutput(Output):
    """What the map publishes."""

    topics: ClassVar = {
        "tissue/image": Topic(Image, "rgb8, the map from the camera, instruments removed"),
        "tissue/composite": Topic(
            Image,
            "rgb8 of the size of the input, for people: the image, and the map where instruments "
            "hide it; never seen parts are tinted",
            recorded=False,
        ),
        "tissue/depth": Topic(Image, "32FC1, its depth; NaN where the map is empty"),
        "tissue/camera_info": Topic(CameraInfo, "of both"),
        "tissue/points": Topic(PointCloud2, "label 0 measured, 1 retained, 2 inferred"),
        "tissue/gaussians": Topic(
            GaussianMap, "the map as flat arrays, for viewers of splats", recorded=False
        ),
    }

    def __init__(self) -> None:
        self._compositor = Compositor()

    def messages(
        self, update: SceneUpdate, context: PublishContext
    ) -> Iterator[tuple[str, object]]:
        """Images with every update, points where clouds are due."""
        names, wanted = context.names, context.wanted
        if update.tissue is None:
            return
        if wanted & {"tissue/image", "tissue/depth", "tissue/camera_info"}:
            for topic, message in tissue_images(update, names).items():
                if topic in wanted:
                    yield topic, message
        if "tissue/composite" in wanted:
            # masks of another image would hide what is seen now, and show what is not
            masked = replace(update, labels=None) if context.stale_mask else update
            picture = self._compositor.picture(masked, context.mark_inferred)
            where = update.frame.stamp, names.camera
            yield "tissue/composite", image_message(picture, "rgb8", *where)
        if context.clouds and "tissue/points" in wanted:
            yield "tissue/points", tissue_points(update, names, context.max_points)
        if context.clouds and "tissue/gaussians" in wanted:
            yield "tissue/gaussians", gaussian_message(update, names)
