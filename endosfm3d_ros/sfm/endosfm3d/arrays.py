"""What the networks of EndoSfM3D take and give, as numpy arrays. Imports no torch.

The pixel coordinates of the pose network are integers at the sample positions of its own image,
which is the convention of `PinholeCamera`; going to another image size is half-pixel aware.
"""

from __future__ import annotations

import cv2
import numpy as np
from scipy.special import expit

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import IntrinsicsEstimate

MIN_DEPTH, MAX_DEPTH = 0.1, 150.0  # units; the published training
FOCAL_LIMITS = (0.3, 5.0)  # image widths: 118 to 11 degrees of view
CENTRE_LIMITS = (0.0, 1.0)  # shares of width and height
START_SIGMA = 0.25  # of ln f of a camera that nobody knows
LEAST_SIGMA = 0.005  # of ln f: no calibration is exact


def check_image(image: np.ndarray) -> None:
    """Raise InputError for anything but an (H, W, 3) uint8 image."""
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise InputError(f"image {image.dtype}{list(image.shape)}: uint8 (H, W, 3) is accepted")


def resized_image(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """RGB uint8 image at (height, width), averaged over areas.

    The published training used Pillow's Lanczos filter. On endoscopic frames at 640x512 and
    1280x1024 this comes within 1.9 grey levels (RMS) of it, plain Lanczos and cubic sampling
    (no antialiasing) within 3.0 and 5.5.

    Raises:
        InputError: not an (H, W, 3) uint8 image.
    """
    check_image(image)
    if image.shape[:2] == size:
        return image
    smaller = size[0] < image.shape[0]
    way = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return cv2.resize(image, size[::-1], interpolation=way)


def network_tensor(image: np.ndarray) -> np.ndarray:
    """(1, 3, H, W) float32 in [0, 1] of an RGB uint8 image."""
    return cv2.dnn.blobFromImage(image, 1 / 255)


def inverse_depth(logit: np.ndarray) -> np.ndarray:
    """(H, W) inverse depth in [1 / 150, 1 / 0.1] of a (1, 1, H, W) logit; NaN where not finite.

    1 / max + (1 / min - 1 / max) sigmoid(logit), Godard et al. 2019. In float32: useful depths
    lie in the low tail of the sigmoid.
    """
    logit = logit[0, 0].astype(np.float32, copy=False)
    low, high = np.float32(1 / MAX_DEPTH), np.float32(1 / MIN_DEPTH)
    inverse = low + (high - low) * expit(logit)
    inverse[~np.isfinite(logit)] = np.nan
    return inverse


def camera_belief(
    known: IntrinsicsEstimate | None, image_size: tuple[int, int], network_size: tuple[int, int]
) -> np.ndarray:
    """(1, 5) float32 ln fx / W, its sigma, cx / W, cy / H and fy / fx in the network's image.

    A camera that nobody knows has square pixels and the focal length of most endoscopes, before
    the image is stretched to the size of the network. Sizes are (height, width).
    """
    (height, width), (rows, columns) = image_size, network_size
    camera, sigma = PinholeCamera.default(width, height), START_SIGMA
    if known is not None:
        camera = known.camera
        sigma = max(np.sqrt(known.covariance[0, 0]) / camera.fx, LEAST_SIGMA)
    K = camera.resized(columns, rows).K
    centre = K[0, 2] / columns, K[1, 2] / rows
    return np.float32([[np.log(K[0, 0] / columns), sigma, *centre, K[1, 1] / K[0, 0]]])


def camera_of(q: np.ndarray, network_size: tuple[int, int]) -> PinholeCamera | None:
    """Camera of the network's image from its (1, 4) output, or None where implausible.

    fx, fy = (q0 + 1/2) W, (q1 + 1/2) H and cx, cy = (q2 + 1/2) W, (q3 + 1/2) H; the released
    code adds ln 2 px off the diagonal, which is left out.
    """
    height, width = network_size
    fx, fy, cx, cy = shares = np.asarray(q, np.float64).reshape(4) + 0.5
    focal_low, focal_high = FOCAL_LIMITS
    centre_low, centre_high = CENTRE_LIMITS
    plausible = (
        np.isfinite(shares).all()
        and focal_low <= min(fx, fy * height / width)
        and max(fx, fy * height / width) <= focal_high
        and centre_low <= min(cx, cy)
        and max(cx, cy) <= centre_high
    )
    if not plausible:
        return None
    return PinholeCamera(width, height, fx * width, fy * height, cx * width, cy * height)
