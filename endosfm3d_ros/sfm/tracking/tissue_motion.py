"""Which part of the camera's apparent motion is the tissue's.

Tissue that breathes moves as one besides changing its shape, and the part that moves as one looks
like motion of the camera. But it comes and goes with the change of shape, which cannot be the
camera's doing; the camera's own path does not. So the path is the sum of a smooth motion and of a
response to the deformation, and a Kalman filter learns the response while both go on. Until it
is known, the pose says that it is not: its covariance holds what cannot be told apart. A pair
that is not quite calibrated bends the scene too, as the camera moves; so a response only counts
as far as frames that it was not learnt from become smoother by it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from scipy.spatial.transform import Rotation

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.sfm.tracking.deformation import MODES, DeformationConfig, deformation
from endosfm3d_ros.sfm.tracking.keyframes import Keyframe
from endosfm3d_ros.sfm.tracking.localisation import Located, View
from endosfm3d_ros.sfm.tracking.smoothness import Smoothness
from endosfm3d_ros.types import CameraPose

MOTION = 3  # place, speed and acceleration of each of six coordinates
REMEMBERED = 64  # key frames whose deformation is known


@dataclass(frozen=True)
class TissueMotionConfig:
    """Lengths as shares of the scene's distance, angles in radians, times in seconds."""

    speed: float = 0.06  # per s, at the start
    acceleration: float = 0.06  # per s^2, of a scope that is led
    lasts: float = 2.0  # s over which an acceleration is forgotten
    response: float = 8.0  # motion as one per root mean square of what is not, before it is seen
    response_drift: float = 0.04  # per square root of a second: other tissue comes into view
    noise: float = 0.01  # of a place; most of it is noise of the deformation
    silent: float = 0.0025  # deformation that lies within errors of tracking, per key frame
    fades: float = 20.0  # s after which deformation that was seen says nothing about now
    settles: float = 30.0  # s over which a lasting change of shape becomes the usual one
    useless: float = 0.85  # share of the path's roughness that is left: no response is taken out
    useful: float = 0.5  # all of it is
    harmful: float = 1.3  # the deformation has nothing to do with the path, and is hardly doubt
    hidden: float = 4.0  # factor on the variance with one eye, whose points follow the tissue
    least_doubt: float = 0.05  # share of the variance that stays even then
    judged: float = 3.0  # s of the path that say so; a breath takes longer
    deformation: DeformationConfig = field(default_factory=DeformationConfig)


class TissueMotion:
    """`observe` every pose that is believed; `applied` takes the tissue's part out of a pose."""

    def __init__(self, config: TissueMotionConfig | None = None) -> None:
        self.config = config or TissueMotionConfig()
        self.reset()

    def reset(self) -> None:
        """Nothing is known of the tissue."""
        self._distance: float | None = None  # that shares refer to, in the unit of the map
        self._stamp, self._measured = 0, False
        self._last = np.zeros(MODES)  # deformation now
        self._at_keyframe: dict[int, np.ndarray] = {}
        self._energy = 0.0  # of the deformation, at most, fading
        self._keyframe, self._handed_on = 0, 0.0  # key frames that it went through, fading
        c, size = self.config, MOTION + MODES
        self._state = np.zeros((size, 6))
        self._smoothness = Smoothness()
        self._covariance = np.diag([0.0, c.speed**2, c.acceleration**2] + [c.response**2] * MODES)

    def rescale(self, factor: float) -> None:
        """The world becomes larger by a factor."""
        if self._distance is not None:
            self._distance *= factor

    def observe(
        self,
        stamp: int,
        keyframe: Keyframe,
        located: Located,
        view: View,
        pose: CameraPose,
        resting: bool = False,
    ) -> None:
        """A frame that was located, and the pose that a rigid scene would give it.

        While the camera rests its pose is known otherwise, and nothing is learnt from it here.
        """
        if self._distance is None:
            self._distance = float(np.median(keyframe.points[:, 2]))
            self._origin = pose.T_odom_camera
            self._stamp, self._keyframe = stamp, keyframe.number
        seconds = max(0.0, (stamp - self._stamp) * 1e-9)
        self._stamp = stamp
        self._measured = view.depth is not None
        self._see(seconds, keyframe, located, view)
        self._predict(seconds)
        if resting:
            self._stand_still(self._coordinates(pose))
            self._smoothness.forget()
        else:
            place = self._coordinates(pose)
            corrected = place - self._seen @ self._state[MOTION:]
            self._smoothness.add(stamp * 1e-9, place, corrected)
            self._update(place)

    def _stand_still(self, coordinates: np.ndarray) -> None:
        """What the pose says now is where it goes on from, as slowly as at the start."""
        c = self.config
        self._state[:MOTION] = 0
        self._state[0] = coordinates - self._seen @ self._state[MOTION:]
        self._covariance[:MOTION] = self._covariance[:, :MOTION] = 0
        self._covariance[range(MOTION), range(MOTION)] = (
            c.noise**2, c.speed**2, c.acceleration**2
        )  # fmt: skip

    @property
    def distance(self) -> float:
        """Of the scene at the start, in the unit of the map; 1 before anything was seen."""
        return self._distance or 1.0

    def applied(self, pose: CameraPose) -> CameraPose:
        """The pose without what the tissue did; the map moves under odometry.

        With one eye parallax takes the tissue's shape for the scene's and little of the
        deformation is left to be seen: there the response is doubt, and the pose stays.
        """
        if self._distance is None or not self._energy:
            return pose
        seen = self._seen
        moved = seen @ self._state[MOTION:]
        weight, doubt = self._usefulness()
        # little that is seen counts as little, but may be there all the same
        unsure = seen / np.sqrt(self._audible)
        own = doubt * (float(unsure @ self._covariance[MOTION:, MOTION:] @ unsure)
                       + np.square((1 - weight) * moved))  # fmt: skip
        if not self._measured:
            own *= self.config.hidden
        moved = weight * moved
        T = pose.T_odom_camera
        R = Rotation.from_rotvec(-moved[3:]).as_matrix() @ T[:3, :3]
        T = se3.from_rotation(R, T[:3, 3] - self._distance * moved[:3])
        T_map_odom = se3.normalised(pose.T_map_odom @ T @ se3.inverse(pose.T_odom_camera))
        covariance = pose.covariance + np.diag(own * ([self._distance**2] * 3 + [1.0] * 3))
        return CameraPose(pose.T_odom_camera, T_map_odom, covariance, pose.state, pose.inliers)

    def _usefulness(self) -> tuple[float, float]:
        """Shares of the response that is taken out, and of what is not known of it."""
        c, ratio = self.config, self._smoothness.ratio
        if ratio is None:
            return 0.0, 1.0
        doubt = 1.0
        if self._smoothness.seconds > c.judged:
            doubt = (c.harmful - ratio) / (c.harmful - c.useless)
        useful = (c.useless - ratio) / (c.useless - c.useful) if self._measured else 0.0
        return float(np.clip(useful, 0, 1)), float(np.clip(doubt, c.least_doubt, 1))

    @property
    def _seen(self) -> np.ndarray:
        """(12,) deformation as far as it stands out of the errors of tracking."""
        return self._last * self._audible

    @property
    def _audible(self) -> float:
        """Share of the deformation's energy that errors of tracking do not explain."""
        errors = self.config.silent**2 * (1 + self._handed_on)
        return self._energy / (self._energy + errors)

    def _coordinates(self, pose: CameraPose) -> np.ndarray:
        """(6,) place and rotation since the first pose, by odometry, which never jumps."""
        T = pose.T_odom_camera
        turned = Rotation.from_matrix(T[:3, :3] @ self._origin[:3, :3].T).as_rotvec()
        return np.concatenate([(T[:3, 3] - self._origin[:3, 3]) / self._distance, turned])

    def _see(self, seconds: float, keyframe: Keyframe, located: Located, view: View) -> None:
        """Deformation since the first key frame; a new one begins with what it was then."""
        c, settled = self.config, np.exp(-seconds / self.config.settles)
        self._handed_on = settled * self._handed_on + (keyframe.number != self._keyframe)
        self._keyframe = keyframe.number
        base = self._at_keyframe.setdefault(keyframe.number, self._last)
        while len(self._at_keyframe) > REMEMBERED:
            del self._at_keyframe[next(iter(self._at_keyframe))]
        since = deformation(keyframe, located, view, c.deformation)
        if since is not None:
            self._last = base + since
        self._last = self._last * settled
        for number in self._at_keyframe:
            self._at_keyframe[number] = self._at_keyframe[number] * settled
        faded = self._energy * np.exp(-seconds / c.fades)
        self._energy = max(float(self._last @ self._last), faded)

    def _predict(self, seconds: float) -> None:
        c, F = self.config, np.eye(MOTION + MODES)
        F[0, 1] = F[1, 2] = seconds
        F[2, 2] = np.exp(-seconds / c.lasts)
        self._state = F @ self._state
        self._covariance = F @ self._covariance @ F.T
        self._covariance[2, 2] += c.acceleration**2 * (1 - F[2, 2] ** 2)
        responses = np.arange(MOTION, MOTION + MODES)
        self._covariance[responses, responses] += c.response_drift**2 * seconds

    def _update(self, coordinates: np.ndarray) -> None:
        H = np.concatenate([[1.0, 0.0, 0.0], self._seen])
        spread = self._covariance @ H
        gain = spread / (H @ spread + self.config.noise**2)
        self._state = self._state + np.outer(gain, coordinates - H @ self._state)
        self._covariance = self._covariance - np.outer(gain, spread)
        self._covariance = (self._covariance + self._covariance.T) / 2
