"""A textured plane before a pair of cameras of any lens, and the messages that drivers make of it.

Images are made by casting the ray of every pixel, so that depth is known exactly whatever the lens,
crop or binning. Messages are plain objects with the fields of ROS: no ROS is needed.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import cv2
import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera

TEXEL = 0.25e-3  # m of one texture pixel
SIZE = 1024
NANOSECONDS = 10**9


def _texture() -> np.ndarray:
    noise = np.random.default_rng(3).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
    smooth = sum(
        cv2.GaussianBlur(noise, (0, 0), sigma, borderType=cv2.BORDER_WRAP).astype(np.float32)
        - 127.5
        for sigma in (2.0, 6.0)
    )
    return np.clip(110 + 4.0 * smooth, 30, 240).astype(np.uint8)


TEXTURE = _texture()


@dataclass(frozen=True)
class Plane:
    """z = distance + slope . (x, y) in the frame of the left camera, metres."""

    distance: float = 0.05
    slope: tuple[float, float] = (0.0, 0.0)

    def meet(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        """(N, 3) where rays from `origin` meet the plane."""
        a, b = self.slope
        steps = (self.distance + a * origin[0] + b * origin[1] - origin[2]) / (
            rays[:, 2] - a * rays[:, 0] - b * rays[:, 1]
        )
        return origin.astype(rays.dtype) + steps[:, None].astype(rays.dtype) * rays


@dataclass(frozen=True)
class Rig:
    """Two cameras; points of the left frame are `R @ point + t` in the right one."""

    left: PinholeCamera
    right: PinholeCamera
    R: np.ndarray = field(default_factory=lambda: np.eye(3))
    baseline: float = 0.0045

    @property
    def t(self) -> np.ndarray:
        """Where the left centre is for the right eye."""
        return self.R @ np.array([-self.baseline, 0.0, 0.0])

    def rectification(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """R1, R2 (3x3), P1, P2 (3x4) of a common pinhole of the left camera's matrix."""
        across = -self.R.T @ self.t
        x = across / np.linalg.norm(across)
        forward = np.array([0.0, 0.0, 1.0]) + self.R.T @ np.array([0.0, 0.0, 1.0])
        y = np.cross(forward, x)
        y /= np.linalg.norm(y)
        R1 = np.stack([x, y, np.cross(x, y)])
        K = self.left.K
        P1 = np.column_stack([K, np.zeros(3)])
        P2 = np.column_stack([K, [-K[0, 0] * self.baseline, 0.0, 0.0]])
        return R1, R1 @ self.R.T, P1, P2


def picture(camera: PinholeCamera, plane: Plane, R: np.ndarray, centre: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a camera that turns left points by R and stands at `centre`."""
    grid = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1)
    rays = camera.unproject(grid.reshape(-1, 2).astype(float)).astype(np.float32)
    points = plane.meet(centre, rays @ R.astype(np.float32))[:, :2]
    maps = (points / np.float32(TEXEL) + SIZE / 2).reshape(camera.height, camera.width, 2)
    maps = maps.astype(np.float32)
    return cv2.remap(TEXTURE, maps, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)


def depth_of(camera: PinholeCamera, plane: Plane, R: np.ndarray | None = None) -> np.ndarray:
    """(H, W) float32 depth along z of a camera in the left centre that turns left points by R."""
    R = np.eye(3) if R is None else R
    rays = camera.rays().reshape(-1, 3).astype(float)
    points = plane.meet(np.zeros(3), rays @ R) @ R.T
    return points[:, 2].reshape(camera.height, camera.width).astype(np.float32)


def eyes(rig: Rig, plane: Plane, rectified: bool) -> tuple[np.ndarray, np.ndarray]:
    """Both pictures, raw or as image_proc has rectified them."""
    left_centre, right_centre = np.zeros(3), np.array([rig.baseline, 0.0, 0.0])
    if not rectified:
        return (
            picture(rig.left, plane, np.eye(3), left_centre),
            picture(rig.right, plane, rig.R, right_centre),
        )
    R1, _, P1, _ = rig.rectification()
    camera = PinholeCamera.from_matrix(P1[:, :3], *rig.left.size)
    return picture(camera, plane, R1, left_centre), picture(camera, plane, R1, right_centre)


@dataclass(frozen=True)
class Sampling:
    """What the driver made of the sensor's picture, and how it says so."""

    crop: tuple[int, int, int, int] | None = None  # x, y, width, height
    binning: int = 1
    tells: str = "standard"  # K and size of the sensor; "own": of the result; "stale": K alone

    def image(self, sensor: np.ndarray) -> np.ndarray:
        """The picture that is sent."""
        if self.crop:
            x, y, width, height = self.crop
            sensor = sensor[y : y + height, x : x + width]
        height, width = sensor.shape[0] // self.binning, sensor.shape[1] // self.binning
        if self.binning > 1:
            sensor = cv2.resize(sensor, (width, height), interpolation=cv2.INTER_AREA)
        return np.ascontiguousarray(sensor)

    def matrix(self, K: np.ndarray) -> np.ndarray:
        """K or P of the picture that is sent."""
        moved = K.copy()
        if self.crop:
            moved[0] -= self.crop[0] * moved[2]
            moved[1] -= self.crop[1] * moved[2]
        s = 1 / self.binning
        return np.array([[s, 0, (s - 1) / 2], [0, s, (s - 1) / 2], [0, 0, 1]]) @ moved


def info(
    camera: PinholeCamera, R: np.ndarray, P: np.ndarray, sampling: Sampling | None = None, **changes
) -> SimpleNamespace:
    """A camera_info of a raw camera as the driver of this sampling sends it."""
    sampling = sampling or Sampling()
    x, y, width, height = sampling.crop or (0, 0, 0, 0)
    own = sampling.tells != "standard"
    size = camera.size
    if sampling.tells == "own" and sampling.crop:
        size = width, height
    fields = {
        "header": header(0),
        "width": size[0],
        "height": size[1],
        "distortion_model": camera.distortion_model,
        "d": [float(value) for value in camera.distortion],
        "k": (sampling.matrix(camera.K) if own else camera.K).ravel(),
        "r": R.ravel(),
        "p": (sampling.matrix(P) if own else P).ravel(),
        "binning_x": sampling.binning if sampling.binning > 1 else 0,
        "binning_y": sampling.binning if sampling.binning > 1 else 0,
        "roi": SimpleNamespace(
            x_offset=x, y_offset=y, width=width, height=height, do_rectify=False
        ),
    }
    return SimpleNamespace(**{**fields, **changes})


def infos(
    rig: Rig, sampling: Sampling | None = None, **right_changes
) -> tuple[SimpleNamespace, SimpleNamespace]:
    """camera_info of both eyes."""
    R1, R2, P1, P2 = rig.rectification()
    return info(rig.left, R1, P1, sampling), info(rig.right, R2, P2, sampling, **right_changes)


def header(stamp: int) -> SimpleNamespace:
    """std_msgs/Header."""
    seconds, rest = divmod(stamp, NANOSECONDS)
    return SimpleNamespace(
        stamp=SimpleNamespace(sec=seconds, nanosec=rest), frame_id="left_optical"
    )


def raw_message(image: np.ndarray, encoding: str, pad: int = 0, stamp: int = 0) -> SimpleNamespace:
    """An Image of an RGB picture in any encoding; rows are padded by `pad` bytes."""
    pixels, big = encoded(image, encoding)
    rows = pixels.reshape(len(pixels), -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, pad)), constant_values=77)
    return SimpleNamespace(
        header=header(stamp),
        height=image.shape[0],
        width=image.shape[1],
        encoding=encoding,
        step=rows.shape[1],
        is_bigendian=big,
        data=np.frombuffer(rows.tobytes(), np.uint8),
    )


def encoded(image: np.ndarray, encoding: str) -> tuple[np.ndarray, int]:
    """The buffer of an RGB picture, and whether it is big-endian."""
    bgr, grey = image[..., ::-1], cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    alpha = np.full_like(grey, 9)[..., None]
    if encoding.startswith("bayer"):
        mosaic = np.empty_like(grey)
        for i, letter in enumerate(encoding[6:10]):
            v, u = divmod(i, 2)
            mosaic[v::2, u::2] = image[v::2, u::2, "rgb".index(letter)]
        return (mosaic, 0) if encoding.endswith("8") else (mosaic.astype(np.uint16) * 257, 0)
    wide = {
        "mono16": grey, "16UC1": grey, "rgb16": image, "bgr16": bgr,
        "rgba16": np.concatenate([image, alpha], axis=-1),
    }  # fmt: skip
    if encoding in wide:
        return (wide[encoding].astype(np.uint16) * 257).astype(">u2"), 1
    if encoding in ("yuv422", "uyvy", "yuv422_yuy2", "yuyv", "nv12", "nv21"):
        return _yuv(image, encoding), 0
    narrow = {
        "rgb8": image, "bgr8": bgr, "8UC3": bgr, "mono8": grey, "8UC1": grey,
        "rgba8": np.concatenate([image, alpha], axis=-1),
        "bgra8": np.concatenate([bgr, alpha], axis=-1),
        "8UC4": np.concatenate([bgr, alpha], axis=-1),
    }  # fmt: skip
    return np.ascontiguousarray(narrow[encoding]), 0


def _yuv(image: np.ndarray, encoding: str) -> np.ndarray:
    """BT.601 in studio range, chroma averaged over the pixels that share it."""
    planar = cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420)
    height, width = image.shape[:2]
    if encoding in ("nv12", "nv21"):
        chroma = planar[height:].reshape(2, height // 2, width // 2)
        order = (0, 1) if encoding == "nv12" else (1, 0)
        woven = np.stack([chroma[i] for i in order], axis=-1).reshape(height // 2, width)
        return np.concatenate([planar[:height], woven])
    y = planar[:height]
    u, v = (
        np.repeat(plane, 2, axis=0) for plane in planar[height:].reshape(2, height // 2, width // 2)
    )
    pixels = np.empty((height, width, 2), np.uint8)
    luma, chroma = (1, 0) if encoding in ("yuv422", "uyvy") else (0, 1)
    pixels[..., luma] = y
    pixels[:, 0::2, chroma], pixels[:, 1::2, chroma] = u, v
    return pixels


def compressed_message(data: bytes, format: str, stamp: int = 0) -> SimpleNamespace:
    """A CompressedImage."""
    return SimpleNamespace(header=header(stamp), format=format, data=np.frombuffer(data, np.uint8))


def with_lens(camera: PinholeCamera, distortion: tuple[float, ...], lens: str) -> PinholeCamera:
    """A camera with another lens."""
    return replace(camera, distortion=distortion, lens=lens)
