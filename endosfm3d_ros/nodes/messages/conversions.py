"""ROS messages to the core's types and back; the only place where either side knows the other.

Data fields are filled through `array.array`, which rclpy takes without looking at every byte.
"""

from __future__ import annotations

import array
from functools import cache
from types import ModuleType

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, Quaternion, Transform, TransformStamped
from rclpy.logging import get_logger
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.inputs import encodings
from endosfm3d_ros.inputs.compressed import encode_compressed
from endosfm3d_ros.inputs.pixels import PixelReader, layout

NANOSECONDS = 1_000_000_000
IMAGE_TYPES: dict[str, tuple[type, int]] = {  # encoding -> (dtype, channels)
    "rgb8": (np.uint8, 3),
    "bgr8": (np.uint8, 3),
    "mono8": (np.uint8, 1),
    "16UC1": (np.uint16, 1),
    "32FC1": (np.float32, 1),
}

# --- time and headers ------------------------------------------------------------------------


def nanoseconds(stamp: Time) -> int:
    """A ROS time as integer nanoseconds."""
    return stamp.sec * NANOSECONDS + stamp.nanosec


def time_message(stamp: int) -> Time:
    """Integer nanoseconds as a ROS time."""
    return Time(sec=stamp // NANOSECONDS, nanosec=stamp % NANOSECONDS)


def header(stamp: int, frame_id: str) -> Header:
    """Header of a stamp in nanoseconds."""
    return Header(stamp=time_message(stamp), frame_id=frame_id)


# --- images ----------------------------------------------------------------------------------


def image_array(message: Image) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an Image; cv_bridge, where installed, adds its encodings.

    Raises:
        InputError: sizes that do not fit, or an encoding nobody here can read.
    """
    return PixelReader("image", other=bridge_array).picture(message)


def compressed_array(message: CompressedImage) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a JPEG or PNG CompressedImage."""
    return PixelReader("image").picture(message)


def depth_array(message: Image | CompressedImage) -> np.ndarray:
    """(H, W) float32 metres of a depth image, NaN invalid."""
    return PixelReader("depth").depth(message)


def label_array(message: Image | CompressedImage) -> np.ndarray:
    """(H, W) uint8 labels of an image of integers."""
    return PixelReader("labels").labels(message)


def bridge_array(message: Image) -> np.ndarray:
    """(H, W, 3) uint8 RGB of an encoding that only cv_bridge may know.

    Raises:
        InputError: cv_bridge is not installed, or does not know it either.
    """
    bridge = _cv_bridge()
    if bridge is None:
        return encodings.decode_image(**layout(message))  # raises with the accepted encodings
    try:
        return bridge.CvBridge().imgmsg_to_cv2(message, "rgb8")
    except (bridge.CvBridgeError, ValueError, TypeError) as error:
        raise InputError(f"image encoding {message.encoding!r}: cv_bridge says {error}") from error


def image_message(pixels: np.ndarray, encoding: str, stamp: int, frame_id: str) -> Image:
    """Image of an (H, W) or (H, W, 3) array in the type that the encoding names.

    Raises:
        InputError: the array does not have that type or shape.
    """
    dtype, channels = IMAGE_TYPES[encoding]
    shape = pixels.shape[2:] or (1,)
    if pixels.dtype != dtype or pixels.ndim not in (2, 3) or shape != (channels,):
        raise InputError(
            f"array of {pixels.dtype} and shape {pixels.shape}: {encoding} needs "
            f"{np.dtype(dtype)} with {channels} channel(s)"
        )
    height, width = pixels.shape[:2]
    message = Image(header=header(stamp, frame_id), height=height, width=width, encoding=encoding)
    message.step = width * channels * pixels.dtype.itemsize
    message.data = byte_array(pixels)
    return message


def compressed_message(
    pixels: np.ndarray, suffix: str, stamp: int, frame_id: str
) -> CompressedImage:
    """CompressedImage of an RGB or grey array; suffix is "jpeg" or "png"."""
    encoded = array.array("B")
    encoded.frombytes(encode_compressed(pixels, suffix))
    return CompressedImage(header=header(stamp, frame_id), format=suffix, data=encoded)


@cache
def _cv_bridge() -> ModuleType | None:
    """The cv_bridge module, or None with one warning."""
    try:
        import cv_bridge
    except ImportError:
        accepted = ", ".join(encodings.READABLE)
        get_logger("endosfm3d").warning(f"without cv_bridge only {accepted} images are read")
        return None
    return cv_bridge


def byte_array(values: np.ndarray) -> array.array:
    """The memory of an array as what rclpy assigns without a check per element."""
    data = array.array("B")
    data.frombytes(memoryview(np.ascontiguousarray(values).reshape(-1).view(np.uint8)))
    return data


# --- cameras ---------------------------------------------------------------------------------


def camera_info_message(
    camera: PinholeCamera,
    stamp: int,
    frame_id: str,
    R: np.ndarray | None = None,
    P: np.ndarray | None = None,
) -> CameraInfo:
    """CameraInfo of the raw image of `camera`.

    Args:
        camera: K and D of the image.
        stamp: nanoseconds.
        frame_id: optical frame, equal to the image's.
        R: 3x3 rectifying rotation; identity when absent.
        P: 3x4 rectified projection in px and px*m; [K | 0] when absent.
    """
    R = np.eye(3) if R is None else R
    P = np.column_stack([camera.K, np.zeros(3)]) if P is None else P
    return CameraInfo(
        header=header(stamp, frame_id),
        width=camera.width,
        height=camera.height,
        distortion_model=camera.distortion_model,
        d=list(camera.distortion) or [0.0] * 5,
        k=camera.K.ravel(),
        r=np.asarray(R, np.float64).ravel(),
        p=np.asarray(P, np.float64).ravel(),
    )


# --- rigid motions ---------------------------------------------------------------------------


def transform_message(T: np.ndarray, stamp: int, parent: str, child: str) -> TransformStamped:
    """TransformStamped of a 4x4 that maps points of `child` into `parent`."""
    message = TransformStamped(header=header(stamp, parent), child_frame_id=child)
    translation, rotation = _parts(T)
    vector = message.transform.translation
    vector.x, vector.y, vector.z = translation
    message.transform.rotation = rotation
    return message


def pose_message(T: np.ndarray) -> Pose:
    """Pose of a 4x4."""
    message = Pose()
    translation, message.orientation = _parts(T)
    message.position.x, message.position.y, message.position.z = translation
    return message


def matrix_of(message: Transform | Pose) -> np.ndarray:
    """4x4 of a Transform or Pose.

    Raises:
        InputError: a value that is not finite, or a quaternion of length zero.
    """
    if isinstance(message, Pose):
        vector, rotation = message.position, message.orientation
    else:
        vector, rotation = message.translation, message.rotation
    quaternion = np.array([rotation.x, rotation.y, rotation.z, rotation.w])
    translation = np.array([vector.x, vector.y, vector.z])
    length = float(np.linalg.norm(quaternion))  # 0 also where squares of its parts vanish
    if not (np.isfinite(translation).all() and np.isfinite(length) and length > 0):
        raise InputError(
            f"pose with translation {translation.tolist()} and quaternion {quaternion.tolist()}: "
            "finite values and a quaternion that is not zero are accepted"
        )
    return se3.from_quaternion(translation, quaternion)


def _parts(T: np.ndarray) -> tuple[list[float], Quaternion]:
    translation, (x, y, z, w) = se3.to_quaternion(T)
    return translation.tolist(), Quaternion(x=float(x), y=float(y), z=float(z), w=float(w))
