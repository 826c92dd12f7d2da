"""Poses of messages of any type that carries them, for rclpy's messages and those of `rosbags`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from endosfm3d_ros.datasets.bags.topics import REFERENCE, TF
from endosfm3d_ros.datasets.formats.poses import LEAST
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry import se3

UNSCALED = "unscaled"  # in the name of a reference pose's frame: its length unit is unknown


def motions_of(message: Any, kind: str) -> Iterator[tuple[Any, np.ndarray, bool]]:
    """(header, 4x4, whether in metres) of every pose in a message.

    Of a TFMessage only transforms between frames that are called a reference.

    Raises:
        InputError: values that are no pose.
    """
    if kind == TF:
        parts = [(part.header, part.child_frame_id, part.transform) for part in message.transforms]
        chosen = [part for part in parts if REFERENCE.search(f"{part[0].frame_id}/{part[1]}")]
    else:
        motion = message.transform if hasattr(message, "transform") else message.pose
        chosen = [(message.header, "", getattr(motion, "pose", motion))]
    for header, child, motion in chosen:
        yield header, matrix_of(motion), UNSCALED not in f"{header.frame_id}/{child}"


def matrix_of(motion: Any) -> np.ndarray:
    """4x4 of a Pose or Transform.

    Raises:
        InputError: a value that is not finite, or a quaternion of zeros.
    """
    if hasattr(motion, "translation"):
        vector, rotation = motion.translation, motion.rotation
    else:
        vector, rotation = motion.position, motion.orientation
    quaternion = np.array([rotation.x, rotation.y, rotation.z, rotation.w])
    translation = np.array([vector.x, vector.y, vector.z])
    if not (np.isfinite(translation).all() and LEAST <= np.linalg.norm(quaternion) < np.inf):
        raise InputError(
            f"reference pose {translation.tolist()}, {quaternion.tolist()}: "
            "finite values and a quaternion that is not zero are accepted"
        )
    return se3.from_quaternion(translation, quaternion)
