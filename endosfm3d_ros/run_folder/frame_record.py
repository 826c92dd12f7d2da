"""What is kept of every frame of a run: numbers only, so that an hour of video is a few MB."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.scene.clearance import Clearance, clearances
from endosfm3d_ros.scene.scene_cloud import T_map_camera
from endosfm3d_ros.types import CloudLabel, ScaleSource, SceneUpdate, TrackingState

MAX_AGE = 0.5  # s of an image, live, beyond which no distance is valid


@dataclass(frozen=True)
class FrameRecord:
    """One frame in numbers. Lengths are metres, or scale-free units where `scale` says relative."""

    number: int  # that the recording uses
    stamp: int  # ns
    T_map_camera: np.ndarray  # 4x4, as published: held while lost
    T_scene_camera: np.ndarray  # 4x4, as the files of the scene have it
    state: TrackingState
    inliers: int
    camera: PinholeCamera  # estimated, of the raw image
    focal_sigma: float  # of the focal length over the focal length
    intrinsics_state: str
    depth_median: float  # NaN where nothing is valid
    depth_coverage: float  # 0..1
    confidence: float  # mean of the valid pixels, 0..1; 0 where nothing is valid
    depth_source: str
    scale: ScaleSource
    milliseconds: dict[str, float]  # by stage
    gaussians: int  # of the map; 0 without one
    inferred: float  # share of the map that nobody measured
    clearances: tuple[Clearance, ...]

    @classmethod
    def of(cls, number: int, update: SceneUpdate, age: float = 0.0) -> FrameRecord:
        """The numbers of an update.

        Args:
            number: of the frame in the recording.
            update: its result.
            age: s since the image came, live; 0 where frames wait, so that what a run says does
                not depend on the speed of the machine.
        """
        depth, estimate = update.depth, update.intrinsics
        valid = depth.valid
        some = bool(valid.any())
        labels = update.tissue.cloud.labels if update.tissue is not None else np.empty(0, np.uint8)
        return cls(
            number=number,
            stamp=update.frame.stamp,
            T_map_camera=update.pose.T_map_camera,
            T_scene_camera=T_map_camera(update),
            state=update.pose.state,
            inliers=update.pose.inliers,
            camera=estimate.camera,
            focal_sigma=float(np.sqrt(max(estimate.covariance[0, 0], 0.0))) / estimate.camera.fx,
            intrinsics_state=estimate.state,
            depth_median=float(np.median(depth.depth[valid])) if some else float("nan"),
            depth_coverage=depth.coverage,
            confidence=float(depth.confidence[valid].mean()) if some else 0.0,
            depth_source=depth.source,
            scale=depth.scale,
            milliseconds=dict(update.timings),
            gaussians=len(labels),
            inferred=float((labels == CloudLabel.INFERRED).mean()) if len(labels) else 0.0,
            clearances=tuple(_distances(update, age)),
        )

    @property
    def tracked(self) -> bool:
        """Whether the pose is one of this image, and not held from before."""
        return self.state == TrackingState.TRACKING


def _distances(update: SceneUpdate, age: float) -> list[Clearance]:
    if age > MAX_AGE and update.tools is not None:
        late = f"the image is {age:.1f} s old"
        return [Clearance.invalid(tool.track.id, late) for tool in update.tools.tools]
    return clearances(update)
