"""How the camera of the map and the camera of the tracker belong together.

The map corrects the tracker, and goes on by itself where the tracker is lost. Camera and map may
move together without any image noticing, so every correction is slowly given back.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from endosfm3d_ros.geometry import se3


class MapOdomCorrection:
    """Keeps `map camera = correction @ tracker's camera`.

    Args:
        return_rate: share of the correction that is given back per frame.
    """

    def __init__(self, return_rate: float) -> None:
        self._return_rate = return_rate
        self._correction = np.eye(4)
        self._alone = False  # the tracker was lost, its origin may have changed
        self.resumed = False  # it is tracked again: the answer of `expect` is a mere hope

    def release(self) -> None:
        """Trust no earlier correction; the next tracked frame is tied to where the camera is."""
        self._alone = True

    def attach(self, T_map_camera: np.ndarray, T_tracker: np.ndarray) -> None:
        """Tie a tracked camera to where it was recognised; both 4x4."""
        self._correction = T_map_camera @ se3.inverse(T_tracker)
        self._alone = False

    def rescale(self, factor: float) -> None:
        """Map and tracker become larger by a factor; both know it."""
        self._correction = se3.scaled(self._correction, factor)

    def expect(self, T_tracker: np.ndarray, tracked: bool, T_last: np.ndarray) -> np.ndarray:
        """4x4 where the camera should be in the map.

        Args:
            T_tracker: the tracker's camera.
            tracked: whether the tracker believes in it.
            T_last: where the map saw the camera last; the answer while the tracker is lost.
        """
        self.resumed = tracked and self._alone
        if self.resumed:  # the tracker may have started anew: carry on from here
            self._correction = T_last @ se3.inverse(T_tracker)
        self._alone = not tracked
        return self._correction @ T_tracker if tracked else T_last

    def correct(self, T_map_camera: np.ndarray, T_tracker: np.ndarray) -> np.ndarray:
        """Take over a corrected pose.

        Returns:
            4x4 motion of map and camera together that gives a share of the correction back.
        """
        correction = T_map_camera @ se3.inverse(T_tracker)
        self._correction = faded(correction, self._return_rate)
        return self._correction @ se3.inverse(correction)


def faded(T: np.ndarray, rate: float) -> np.ndarray:
    """A rigid motion (4x4) with its rotation vector and translation smaller by the share `rate`."""
    rotation = Rotation.from_matrix(T[:3, :3]).as_rotvec()
    return se3.from_vectors((1 - rate) * rotation, (1 - rate) * T[:3, 3])
