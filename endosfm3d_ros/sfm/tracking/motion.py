"""Camera motion from points with depth: follow them, solve for the pose, between key frames.

Points live in the camera frame of the key frame that they were found in. Each image is compared
with that key frame itself, so errors add up from key frame to key frame, not from frame to frame;
a bundle adjustment of the last key frames takes most of that back. What it finds moves the map:
odometry goes on as if nothing had happened.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.runtime.timing import Slack
from endosfm3d_ros.runtime.worker import Background
from endosfm3d_ros.sfm.calibration.lens import apart
from endosfm3d_ros.sfm.features.sampling import depth_along
from endosfm3d_ros.sfm.features.tracking_image import TrackingImage
from endosfm3d_ros.sfm.scale.sources import NO_LANDMARKS, Landmarks
from endosfm3d_ros.sfm.solvers.pose_refinement import refine_pose
from endosfm3d_ros.sfm.tracking.bridge import bridged
from endosfm3d_ros.sfm.tracking.depth_alignment import DepthAlignment
from endosfm3d_ros.sfm.tracking.followed import FollowedPoints, ForeseenMotion, Tracked
from endosfm3d_ros.sfm.tracking.keyframe_window import Improved, KeyframeWindow
from endosfm3d_ros.sfm.tracking.keyframes import Keyframe
from endosfm3d_ros.sfm.tracking.landmarks import new_points, triangulated
from endosfm3d_ros.sfm.tracking.localisation import (
    Located,
    View,
    correspondences,
    fine,
    locate,
    view_of,
)
from endosfm3d_ros.sfm.tracking.motion_config import MotionConfig
from endosfm3d_ros.sfm.tracking.odometry import (
    accepted,
    adrift,
    continued,
    held,
    plausible,
    tied,
    within,
)
from endosfm3d_ros.sfm.tracking.relocalisation import KeyframeMemory
from endosfm3d_ros.sfm.tracking.rest import RestWatch
from endosfm3d_ros.sfm.tracking.tissue_motion import TissueMotion
from endosfm3d_ros.types import CameraPose, DepthMap, Frame, ScaleSource, TrackingState


class MotionTracker:
    """Pose of every frame relative to the first one. `track` is the only verb.

    Args:
        config: settings.
        background: adjust key frames beside the frames, for live use: no frame waits for it, and
            two runs over the same frames differ a little.
        slack: of the frames; where it is scarce, key frames are adjusted less often.
    """

    def __init__(
        self,
        config: MotionConfig | None = None,
        background: bool = False,
        slack: Slack | None = None,
    ) -> None:
        self.config = config or MotionConfig()
        rest = self.config.refinement_rest
        self._refinement: Background[Improved | None] = Background(
            background, rest, slack, "adjustment of key frames"
        )
        self.reset()

    def reset(self) -> None:
        """The next frame becomes the origin of odometry."""
        self._depth: DepthMap | None = None  # of the last frame, in the scale of the map
        self._window = KeyframeWindow(self.config.window)
        self._alignment = DepthAlignment()
        self._memory = KeyframeMemory(self.config.relocalisation)
        self._tissue = TissueMotion(self.config.tissue)
        self._rest = RestWatch(self.config.rest)
        self._adrift = 0  # key frames since a start anew, whose place in the map is a guess
        self._refinement.forget()
        self._keyframe: Keyframe | None = None
        self._followed = FollowedPoints()
        self._foreseen = ForeseenMotion()
        self._keyframes = 0  # made so far
        self._guessed = False  # whether the shape of the only key frame comes from one image
        self._next_refinement = np.inf  # px of flow
        self._lost = 0  # frames in a row
        self._learns = True  # from this frame
        self._believed = 0  # stamp of the last frame that was not lost
        self._pose = CameraPose(
            np.eye(4), np.eye(4), np.zeros((6, 6)), TrackingState.INITIALISING, 0
        )

    def track(
        self,
        frame: Frame,
        depth: DepthMap,
        motion: np.ndarray | None = None,
        lens: PinholeCamera | None = None,
        learn: bool = True,
    ) -> Tracked:
        """Pose of this frame's camera; where it cannot be found the last one is held as LOST.

        Args:
            frame: the image, and where instruments are in it.
            depth: of the image.
            motion: what somebody else sees: 4x4 T_current_previous in the units of `depth`. It is
                tried where points cannot be followed without it, and decides what they leave open
                where it foretells them better than standing still does.
            lens: the camera that took the image, of any size, distorted where the image is; the
                pinhole of `depth` if not given.
            learn: whether the image is good enough for key frames to be made of it.
        """
        self._learns = learn
        self._track(frame, depth, motion, lens or depth.camera)
        return self._tracked()

    def _tracked(self) -> Tracked:
        """The last frame, without what the tissue did, and at rest where the camera is."""
        pose = self._rest.held(self._tissue.applied(self._pose), self._tissue.distance)
        return Tracked(pose, self._depth, self.landmarks)

    def _track(
        self, frame: Frame, depth: DepthMap, motion: np.ndarray | None, lens: PinholeCamera
    ) -> CameraPose:
        c, relative = self.config, depth.scale == ScaleSource.RELATIVE
        sigma = c.relative_depth_sigma if relative else c.metric_depth_sigma
        view = view_of(TrackingImage.of(frame.image, c.max_width), lens, depth, sigma)
        before, self._depth = self._depth, self._alignment.apply(depth) if relative else depth
        if self._learns:
            self._rest.look(frame, view.grey)
        # 1 start, or start anew
        if self._keyframe is None or self._keyframe.grey.shape != view.grey.shape:
            return self._start(view, frame)
        if motion is not None:
            motion = se3.scaled(motion, self._alignment.factor)
        self._foreseen.join(motion, lost=self._lost > 0)
        # 2 take over what was found out about the key frames, and about the camera
        self._take_refinement(view)
        self._take_camera(view)
        # 3 roughly from the last image, precisely from the key frame
        located = self._locate(view)
        # 4 lost for more than a frame: perhaps it looks at something that it has seen before
        if located is None and self._lost:
            located = self._recognised(view)
        if located is None:
            return self._bridge(view, frame, before) or self._hold(frame)
        # 5 accept; depth of one eye takes the scale of the points
        self._accept(view, located)
        self._believed = frame.stamp
        if relative:
            self._align(view, depth)
        if not self._learns:
            return self._pose
        self._tissue.observe(
            frame.stamp, self._keyframe, located, view, self._pose, self._rest.resting
        )
        # 6 replace the key frame when it is left behind
        if self._left_behind():
            if self._adrift:
                self._reconnect(view)
            else:
                self._memory.remember(self._keyframe)
            self._make_keyframe(view, frame)
            if not self._rest.resting:
                self._refine(self._window.snapshot())
        elif not self._rest.resting:  # at rest it is the tissue that moves: no parallax
            self._refine_structure(view)
        return self._pose

    def _bridge(self, view: View, frame: Frame, before: DepthMap) -> CameraPose | None:
        """The pose from the last image alone, where a new piece of odometry begins; or None.

        The piece is joined to the map where a place is recognised.
        """
        if self._lost:
            return None
        levels = self.config.localisation.levels
        found = bridged(self._followed, before, view, self.config.bridge, levels)
        if found is None:
            return None
        pose = continued(self._pose, found.T_current_previous, found.covariance, found.points)
        if not within(self._pose, pose, self.config.max_step, self.config.max_turn):
            return None
        if not self._adrift:
            self._memory.remember(self._keyframe)
        earlier, self._pose = self._pose, pose
        self._window.clear()
        self._refinement.forget()
        if not self._make_keyframe(view, frame):
            self._pose = earlier
            self._window.add(self._keyframe)
            return None
        self._adrift, self._believed = max(self._adrift, 1), frame.stamp
        return self._pose

    def _recognised(self, view: View) -> Located | None:
        """The pose from a remembered key frame, which takes the place of the current one.

        Odometry goes on from where it was held; it is the map that jumps.
        """
        found = self._memory.recognise(view)
        if found is None:
            return None
        T, c = found.T_camera_keyframe, self.config.localisation
        located = fine(T, found.keyframe, view, c, T)
        if located is None:
            return None
        T_odom = se3.normalised(self._pose.T_odom_camera @ located.T_camera_keyframe)
        self._keyframe = replace(found.keyframe, T_odom=T_odom)
        self._window.clear()
        self._window.add(self._keyframe)
        self._refinement.forget()
        self._adrift = 0
        return located

    def _reconnect(self, view: View) -> None:
        """After a start anew: is this a place from before?"""
        located = self._recognised(view)
        if located is not None:
            self._accept(view, located)
            return
        self._adrift += 1
        if self._adrift > self.config.adrift:
            self._memory.clear()
            self._adrift = 0

    def restart(self) -> None:
        """Images are of another kind from now on: go on from the held pose without key frames."""
        self._keyframe, self._adrift = None, max(self._adrift, 1)
        self._window.clear()
        self._memory.clear()
        self._refinement.forget()

    def rescale(self, factor: float) -> Tracked:
        """The world becomes larger by a factor: the map at once, odometry from here on.

        Returns:
            The last frame in the new units.
        """
        self._alignment.rescale(factor)
        self._depth = replace(self._depth, depth=self._depth.depth * np.float32(factor))
        self._refinement.forget()
        self._memory.rescale(factor)
        self._foreseen.rescale(factor)
        if self._keyframe is not None:
            T = se3.scaled(self._T_camera_keyframe(), factor)
            self._window.rescale(factor)
            self._tie(T)
        self._tissue.rescale(factor)
        self._rest.rescale(factor)
        return self._tracked()

    def _tie(self, T_camera_keyframe: np.ndarray) -> None:
        """Go on from the last pose of odometry with the newest key frame as it is now."""
        self._pose, keyframe = tied(self._pose, self._window.views[-1], T_camera_keyframe)
        self._window.views[-1] = self._keyframe = keyframe

    @property
    def note(self) -> str:
        """What the user should know about adjustments that failed."""
        return self._refinement.note

    @property
    def landmarks(self) -> Landmarks:
        """The points as the last believed frame sees them."""
        if self._keyframe is None:
            return NO_LANDMARKS
        return self._followed.landmarks(self._keyframe, self._T_camera_keyframe())

    def _align(self, view: View, depth: DepthMap) -> None:
        rays = view.camera.unproject(self._followed.pixels)
        self._alignment.observe(self.landmarks.depth, depth_along(rays, depth))
        self._depth = self._alignment.apply(depth)

    def _start(self, view: View, frame: Frame) -> CameraPose:
        self._followed = FollowedPoints()
        self._window.clear()
        self._refinement.forget()
        if not (self._learns and self._make_keyframe(view, frame)):
            pose = self._hold(frame)
            if self._keyframe is not None:  # of another image size: its window is gone
                self._keyframe, self._adrift = None, max(self._adrift, 1)
            return pose
        if self._lost:  # nobody knows how far the camera went meanwhile
            distance = float(np.median(self._keyframe.points[:, 2]))
            self._pose = adrift(self._pose, distance)
            self._keyframe = replace(self._keyframe, covariance=self._pose.covariance)
            self._window.views[-1] = self._keyframe
        self._lost, self._believed = 0, frame.stamp
        self._pose = replace(self._pose, state=TrackingState.TRACKING, inliers=len(self._followed))
        return self._pose

    def _locate(self, view: View) -> Located | None:
        """Where the camera is; None also where no scope could have got to."""
        c, last, steps = self.config, self._T_camera_keyframe(), self._lost + 1
        tracks = self._followed.raw, self._followed.pixels, self._followed.index
        foreseen = self._foreseen.after(last)
        located = locate(*tracks, self._keyframe, view, c.localisation, last, foreseen)
        if located is None:
            return None
        limits = c.max_step * steps, c.max_turn * steps
        return located if plausible(self._pose, self._keyframe, located, *limits) else None

    def _T_camera_keyframe(self) -> np.ndarray:
        """4x4 of the last believed frame."""
        return se3.inverse(self._pose.T_odom_camera) @ self._keyframe.T_odom

    def _accept(self, view: View, located: Located) -> None:
        self._lost = 0
        self._followed = FollowedPoints(view.raw, located.index, located.pixels)
        self._pose = accepted(self._keyframe, located)

    def _hold(self, frame: Frame) -> CameraPose:
        """Keep the last pose, say that it is not believed any more, and maybe start anew."""
        if not self._lost and not self._adrift and self._keyframe is not None:
            self._memory.remember(self._keyframe)
        self._lost += 1
        self._pose = held(self._pose, self.config.lost_inflation)
        c, seconds = self.config, (frame.stamp - self._believed) * 1e-9
        if self._lost >= c.restart_frames and seconds >= c.restart_after:
            self._keyframe, self._adrift = None, max(self._adrift, 1)
        return self._pose

    # --- key frames --------------------------------------------------------------------------

    def _left_behind(self) -> bool:
        c = self.config
        few = len(self._followed) < c.keyframe_share * len(self._keyframe.points)
        return few or self._followed.flow(self._keyframe) > c.keyframe_flow

    def _agreeing(self, view: View) -> Landmarks:
        """The followed points that agree with the pose; none where depth is measured anyway."""
        if view.depth is not None or self._keyframe is None:
            return NO_LANDMARKS
        T, limit = self._T_camera_keyframe(), self.config.handed_on
        return self._followed.agreeing(self._keyframe, T, view, limit)

    def _make_keyframe(self, view: View, frame: Frame) -> bool:
        """New key frame at the current pose; False (and nothing changed) with too few points."""
        # 1 points that are followed, and corners where depth is believed
        pixels, points = new_points(view, frame, self._depth, self.config, self._agreeing(view))
        if len(pixels) < self.config.localisation.min_inliers:
            return False
        # 2 from now on images are compared with this one
        self._keyframes += 1
        self._keyframe = Keyframe(
            self._keyframes, self._pose.T_odom_camera, self._pose.T_map_camera,
            self._pose.covariance, view.grey, view.camera, pixels, points,
            points[:, 2].copy(), view.depth_sigma, view.depth,
        )  # fmt: skip
        self._window.add(self._keyframe)
        first = view.depth is None and (self._guessed or len(self._window.views) == 1)
        self._guessed = first and self.config.two_view is not None
        self._followed = FollowedPoints(view.raw, np.arange(len(pixels)), pixels)
        self._next_refinement = self._later(view)
        return True

    # --- refinement --------------------------------------------------------------------------

    def _refine(self, views: tuple[Keyframe, ...]) -> None:
        window = self._window
        if not self._refinement.submit(lambda: window.solve(views)):
            self._next_refinement = 0.0  # as soon as the one under way is done

    def _later(self, view: View, flow: float = 0.0) -> float:
        """Flow at which the points are put right again; measured ones need it only once."""
        c = self.config
        return max(c.first_refinement, flow * c.refinement_growth) if view.depth is None else np.inf

    def _refine_structure(self, view: View) -> None:
        """Put the depth of the key frame's points right by the parallax that there is by now."""
        flow = self._followed.flow(self._keyframe)
        if flow < self._next_refinement or self._refinement.busy:
            return
        self._next_refinement = self._later(view, flow)
        if self._guessed:
            self._take_parallax(view)
        now = self._keyframe.bare(self._pose.T_map_camera, view.grey, view.camera)
        self._refine((*self._window.snapshot(), now))

    def _take_parallax(self, view: View) -> None:
        """The shape of the first key frame from two views alone, once, instead of the guess."""
        points = triangulated(
            self._keyframe, self._followed.index, self._followed.pixels, self.config.two_view
        )
        if points is None:
            return
        self._guessed = False
        seen = replace(self._window.views[-1], points=points, measured=points[:, 2].copy())
        self._window.views[-1] = self._keyframe = seen
        self._settle(view)

    def _take_refinement(self, view: View) -> None:
        """Points and poses of the key frames as adjusted; odometry goes on without a step."""
        improved = self._refinement.take()
        if improved is None or self._lost:
            return
        self._window.apply(improved)
        self._settle(view)

    def _take_camera(self, view: View) -> None:
        """All key frames are of one camera: where its estimate has moved, they follow."""
        if apart(view.camera, self._keyframe.camera) < self.config.recalibration:
            return
        self._window.recalibrate(view.camera)
        self._settle(view)
        self._next_refinement = 0.0  # with the view that is located next

    def _settle(self, view: View) -> None:
        """The last image again, from the key frame as it is now."""
        keyframe = self._window.views[-1]
        data = correspondences(
            keyframe, self._followed.index, self._followed.pixels, replace(view, depth=None),
            self.config.localisation,
        )  # fmt: skip
        before = self._T_camera_keyframe()
        T, _ = refine_pose(before, data)
        self._tie(T if np.isfinite(T).all() else before)
