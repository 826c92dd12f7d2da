"""What the reconstruction model is shown, and where its cube lies in front of the camera.

The model believes to look from a distance of 2 with a focal length of 0.75 image sides. A square
crop of side w around (u0, v0) of an image with focal length f is that view, up to the strength of
perspective, if the camera is turned towards (u0, v0) and the cube's centre lies 2 / k units away
along that ray, with k = 0.75 w / f. So its pose in model units is known before any search.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.models.lrm.frame import SOURCE_DISTANCE, SOURCE_FOCAL

WHITE = 255
OBJECT_SHARE = 0.8  # of the crop's side that the tool fills; OpenLRM's recentring leaves a fifth


@dataclass(frozen=True)
class SquareCrop:
    """A square of the image; it may reach beyond the border."""

    centre: tuple[float, float]  # pixel
    side: float  # px

    def birth(self, camera: PinholeCamera) -> np.ndarray:
        """(4, 4) model (optical axes) to camera in model units."""
        ray = camera.unproject(np.array([self.centre]))[0]
        ray /= np.linalg.norm(ray)
        focal = (camera.fx + camera.fy) / 2
        T = np.eye(4)
        T[:3, :3] = turn_to(ray)
        T[:3, 3] = ray * SOURCE_DISTANCE / (SOURCE_FOCAL * self.side / focal)
        return T

    def prepared(self, image: np.ndarray, mask: np.ndarray, size: int) -> np.ndarray:
        """(1, 3, size, size) float32 RGB in [0, 1]: the tool alone on white.

        Args:
            image: (H, W, 3) uint8 RGB.
            mask: (H, W) bool.
            size: px, side of the network's input.
        """
        left, top = (centre - (self.side - 1) / 2 for centre in self.centre)
        step = self.side / size  # image pixels per input pixel; edges of both squares meet
        grow = np.array([[step, 0, left + (step - 1) / 2], [0, step, top + (step - 1) / 2]])
        alone = on_white(image, mask)
        if step > 1:  # what lies between the samples is averaged first
            alone = cv2.GaussianBlur(alone, (0, 0), 0.4 * step)
        crop = cv2.warpAffine(
            alone,
            grow,
            (size, size),
            flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(WHITE,) * 3,
        )
        return network_input(crop)


def crop_around(mask: np.ndarray) -> SquareCrop:
    """The square in which the tool is centred with a margin.

    Raises:
        InputError: the mask is empty.
    """
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    if not width:
        raise InputError("an empty tool mask has nothing to reconstruct")
    centre = (left + (width - 1) / 2, top + (height - 1) / 2)
    return SquareCrop(centre, max(width, height) / OBJECT_SHARE)


def released_squeeze(image: np.ndarray, mask: np.ndarray, size: int) -> np.ndarray:
    """(1, 3, size, size) as published: the whole frame squeezed to a square, the tool on white."""
    import torch
    from torch.nn import functional as F

    frame = torch.from_numpy(network_input(on_white(image, mask)))
    squeezed = F.interpolate(frame, (size, size), mode="bicubic", align_corners=True)
    return squeezed.clamp(0, 1).numpy()


def on_white(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8: the image inside the mask."""
    return np.where(mask[..., None], image, np.uint8(WHITE))


def network_input(image: np.ndarray) -> np.ndarray:
    """(1, 3, H, W) float32 in [0, 1] of (H, W, 3) uint8."""
    return np.ascontiguousarray(image.transpose(2, 0, 1)[None], np.float32) / 255


def turn_to(ray: np.ndarray) -> np.ndarray:
    """(3, 3) the smallest rotation that takes +z to a unit vector with z > 0."""
    x, y, z = ray
    cross = np.array([[0, 0, x], [0, 0, y], [-x, -y, 0]])  # of the axis z x ray
    return np.eye(3) + cross + cross @ cross / (1 + z)
