"""The default alignment: six degrees of freedom by contours, scale by depth and priors.

A tool is found once (`finding`) and tracked from frame to frame; both end in the same two steps,
the scale and the doubts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from endosfm3d_ros.tools.opjpo.insertion import EnteringConfig, WorkingEnd, entering_poses
from endosfm3d_ros.tools.opjpo.measured import DepthConfig, MeasuredDepth, surface_samples
from endosfm3d_ros.tools.opjpo.pose import UnitPose
from endosfm3d_ros.tools.opjpo.refine import RefineConfig, Refined, Refiner
from endosfm3d_ros.tools.opjpo.scale import Scale, ScaleConfig, scale_of
from endosfm3d_ros.tools.opjpo.search import (
    SearchConfig,
    all_orientations,
    orientations_around,
    search,
)
from endosfm3d_ros.tools.opjpo.target import MaskTarget, sampled
from endosfm3d_ros.tools.opjpo.trust import (
    TrustConfig,
    contradiction,
    doubts,
    long_axis,
    reach,
    unusable,
)
from endosfm3d_ros.tools.shapes.mesh import decimated
from endosfm3d_ros.tools.shapes.silhouette import SilhouetteMesh
from endosfm3d_ros.tools.types import ToolModel, ToolObservation, ToolPlacement


@dataclass(frozen=True)
class JointConfig:
    """Sizes and limits. Silhouettes of 800 (2000) faces overlap those of 17 000 by .996 (.999)."""

    search_faces: int = 400
    faces: int = 800  # for tracking as well
    fine_faces: int = 2000
    tracking_resolution: int = 192  # px of the window's larger side; 128 drifts by 2 degrees more
    resolution: int = 160  # px, first steps of a first placement
    fine_resolutions: tuple[int, ...] = (320, 640)  # px, last steps of a first placement
    finalists: int = 2  # poses that take part in the first of them
    distinct: float = 0.1  # rad between them; twins would crowd out the next best
    distance: float = 10.0  # model extents, where a model without a known view starts
    lost_iou: float = 0.6  # of a tracked pose, below which the tool is searched anew ..
    lost_drop: float = 0.1  # .. if its overlap fell by this much since the last frame
    search: SearchConfig = field(default_factory=SearchConfig)
    entering: EnteringConfig = field(default_factory=EnteringConfig)
    entering_refine: RefineConfig = field(default_factory=lambda: RefineConfig(iterations=10))
    refine: RefineConfig = field(default_factory=RefineConfig)
    tracking: RefineConfig = field(
        default_factory=lambda: RefineConfig(
            iterations=3,
            jump_iou=0.85,
            outline_points=120,
            contour_points=80,
            rotation=0.1,
            translation=0.1,
        )
    )
    depth: DepthConfig = field(default_factory=DepthConfig)
    scale: ScaleConfig = field(default_factory=ScaleConfig)
    trust: TrustConfig = field(default_factory=TrustConfig)


class JointAligner:
    """Places one model; keeps nothing but the prepared model."""

    def __init__(self, model: ToolModel, config: JointConfig | None = None) -> None:
        self.model, self.config = model, config or JointConfig()
        self.axis = long_axis(model.vertices - model.centre, self.config.trust.long)
        self.end = self.working_end()
        self.centre = self.end.pivot(self.config.entering) if self.end else model.centre
        centred = model.vertices - self.centre.astype(np.float32)
        counts = (self.config.fine_faces, self.config.faces, self.config.search_faces)
        self.fine_mesh, self.mesh, self.small_mesh = (
            SilhouetteMesh(*decimated(centred, model.faces, count)) for count in counts
        )
        if model.metric:
            self.samples = surface_samples(model, self.centre, self.config.depth)

    def working_end(self) -> WorkingEnd | None:
        """Of a long mesh in metres that may be seen from anywhere."""
        if self.model.birth is not None or not self.model.metric or not self.axis.any():
            return None
        return WorkingEnd.of(self.model, self.axis, self.config.entering)

    def place(
        self, observation: ToolObservation, previous: ToolPlacement | None = None
    ) -> ToolPlacement:
        """The model in this image, tracked from `previous` where that is a valid placement.

        A mask or depth that cannot be used gives a placement that says so; nothing is raised.
        """
        if reason := unusable(observation, self.config.trust):
            return ToolPlacement.nowhere(reason, observation.stamp)
        if previous is not None and not previous.valid:
            previous = None
        if previous is None:
            return self.settled(self.found(observation, None), observation, None)
        last = self.unit_pose(previous)
        found = self.tracked(observation, last)
        if self.lost(found, previous):
            found = max(found, self.found(observation, last), key=lambda each: each.merit)
        return self.settled(found, observation, previous)

    def lost(self, found: Refined, previous: ToolPlacement) -> bool:
        """Whether a search may help: not where the model never fitted well."""
        limit = min(self.config.lost_iou, previous.iou - self.config.lost_drop)
        return found.iou < limit

    def tracked(self, observation: ToolObservation, last: UnitPose) -> Refined:
        """Refined from the last pose, which is moved onto the mask first after a large motion."""
        config = self.config
        refiner = self.refiner(self.mesh, observation, config.tracking_resolution, config.tracking)
        return refiner.run(last)

    def found(self, observation: ToolObservation, last: UnitPose | None) -> Refined:
        """The best of many orientations: coarse search, refinement, refinement of the finalists."""
        camera, config = observation.camera, self.config
        low = MaskTarget.of(observation, config.search.resolution)
        expected = last or self.birth_pose()
        if self.end and not expected and reach(observation) < np.inf:
            poses = entering_poses(self.small_mesh, self.end, observation, config.entering)
            resolution, settings = config.entering.resolution, config.entering_refine
            refiner = self.refiner(self.small_mesh, observation, resolution, settings)
            refined = sorted((refiner.run(pose) for pose in poses), key=lambda each: -each.merit)
            poses = distinct(refined, config.search.kept, config.distinct)
            return self.refined_found(observation, poses, expected)
        if expected:
            rotations = orientations_around(expected.R, config.search)
            position = expected.position
        else:
            rotations = all_orientations(self.axis, low.mask, config.search)
            position = np.array([0.0, 0.0, config.distance * self.model.extent])
        poses = search(self.small_mesh, rotations, position, camera, low, config.search)
        return self.refined_found(observation, poses, expected)

    def refined_found(
        self, observation: ToolObservation, poses: list[UnitPose], expected: UnitPose | None
    ) -> Refined:
        """The best pose after refinement, at growing resolution."""
        config = self.config
        refined = self.refined(self.mesh, observation, poses, expected, config.resolution)
        poses = distinct(refined, config.finalists, config.distinct)
        for resolution in config.fine_resolutions:
            refined = self.refined(self.fine_mesh, observation, poses, expected, resolution)
            poses = [refined[0].pose]
        return refined[0]

    def refined(
        self,
        mesh: SilhouetteMesh,
        observation: ToolObservation,
        poses: list[UnitPose],
        expected: UnitPose | None,
        resolution: int,
    ) -> list[Refined]:
        """Each pose refined in a window of that resolution, best first.

        Only the expected orientation is a prior; the position follows from the mask.
        """
        refiner = self.refiner(mesh, observation, resolution, self.config.refine)
        priors = [UnitPose(expected.R, pose.position) if expected else pose for pose in poses]
        refined = (refiner.run(pose, prior) for pose, prior in zip(poses, priors))
        return sorted(refined, key=lambda each: -each.merit)

    def refiner(
        self,
        mesh: SilhouetteMesh,
        observation: ToolObservation,
        resolution: int,
        config: RefineConfig,
    ) -> Refiner:
        """For one observation in a window; depth guides a model that is only roughly the tool."""
        camera, target, depth = observation.camera, MaskTarget.of(observation, resolution), None
        if self.model.approximate and observation.tool_depth is not None:
            seen = sampled(observation.tool_depth, target.window)
            depth = MeasuredDepth(
                *self.samples, target.window.camera(camera), seen, self.config.depth
            )
        return Refiner(mesh, camera, target, config, depth)

    def gap(self, observation: ToolObservation, pose: UnitPose) -> float:
        """How far a model in metres lies behind the depth measured on it, over that depth."""
        if not self.model.metric or observation.tool_depth is None:
            return np.nan
        seen, config = observation.tool_depth, self.config.depth
        return MeasuredDepth(*self.samples, observation.camera, seen, config).gaps(pose).median

    def settled(
        self, found: Refined, observation: ToolObservation, previous: ToolPlacement | None
    ) -> ToolPlacement:
        """The placement in metres, with its uncertainty and doubts."""
        pose, config = found.pose, self.config
        points = pose.points(self.mesh.vertices)
        scale = scale_of(points, self.model, observation, previous, config.scale)
        if scale is None:
            return ToolPlacement.nowhere(
                "no depth at the tool and no known size, so its scale is unknown", observation.stamp
            )
        covariance = pose_covariance(found, scale, config.refine)
        deviation = float(np.sqrt(covariance[5, 5])) / (scale.value * pose.position[2])
        axis = pose.R @ self.axis
        gap = self.gap(observation, pose)
        reason = contradiction(gap, config.trust) or doubts(
            observation, found.iou, axis, pose.position, deviation, scale, config.trust
        )
        return ToolPlacement(
            R=pose.R,
            t=scale.value * (pose.position - pose.R @ self.centre),
            scale=scale.value,
            iou=found.iou,
            covariance=covariance,
            scale_deviation=scale.deviation,
            trusted=not reason,
            reason=reason,
            stamp=observation.stamp,
        )

    def unit_pose(self, placement: ToolPlacement) -> UnitPose:
        """A placement in model units."""
        position = placement.t / placement.scale + placement.R @ self.centre
        return UnitPose(placement.R, position)

    def birth_pose(self) -> UnitPose | None:
        """The pose in the image that the model was made from."""
        T = self.model.birth
        return None if T is None else UnitPose(T[:3, :3], T[:3, :3] @ self.centre + T[:3, 3])


def distinct(refined: list[Refined], count: int, apart: float) -> list[UnitPose]:
    """The first `count` poses that are turned by at least `apart` rad from those before them."""
    chosen: list[UnitPose] = []
    for pose in (each.pose for each in refined):
        turns = [np.linalg.norm(pose.step_from(other)[:3]) for other in chosen]
        if len(chosen) < count and min(turns, default=np.inf) >= apart:
            chosen.append(pose)
    return chosen


def pose_covariance(found: Refined, scale: Scale, expected: RefineConfig) -> np.ndarray:
    """(6, 6) of the rotation vector (rad) and of the model centre (m); scale moves it radially."""
    prior = np.repeat([expected.rotation**-2, expected.translation**-2], 3)
    step = np.linalg.inv(found.information + np.diag(prior))
    metres = np.repeat([1.0, scale.value * found.pose.position[2]], 3)
    radial = np.concatenate([np.zeros(3), scale.value * found.pose.position])
    return step * np.outer(metres, metres) + scale.deviation**2 * np.outer(radial, radial)
