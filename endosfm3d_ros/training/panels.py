"""One picture of what a training sees: images above, what the networks make of them below."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from endosfm3d_ros.training.batches import NEIGHBOURS, TARGET, TripletBatch
from endosfm3d_ros.training.objectives import DepthStep

FLOW_SHOWN = 0.05  # share of the width: a flow that long has full colour


@torch.no_grad()
def training_panel(batch: TripletBatch, step: DepthStep) -> np.ndarray:
    """(2 H, 4 W, 3) RGB uint8 of the first triplet of a batch, for its first neighbour.

    Above: target, neighbour, neighbour warped by depth and motion, their difference.
    Below: inverse depth, optical flow, brightness-corrected target, pixels that count.
    """
    view, target = step.views[0], batch.images[TARGET, 0]
    warped = step.warped[0][0][0]
    counted = (view.visible * batch.tissue[TARGET])[0].expand(3, -1, -1)
    above = [target, batch.images[NEIGHBOURS[0], 0], warped, 4 * (warped - target).abs()]
    rows = [
        [picture(image) for image in above],
        [
            inverse_depth_picture(step.disparities[0][0, 0]),
            flow_picture(view.flow[0][0]),
            picture(view.refined[0][0]),
            picture(counted),
        ],
    ]
    return np.vstack([np.hstack(row) for row in rows])


def picture(image: Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1] to (H, W, 3) uint8."""
    return (image.clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy()


def inverse_depth_picture(disparity: Tensor) -> np.ndarray:
    """(H, W) to colours, near is bright; 2 % at either end are cut."""
    values = disparity.float().cpu().numpy()
    low, high = np.percentile(values, (2, 98))
    shares = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    bgr = cv2.applyColorMap((shares * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def flow_picture(flow: Tensor) -> np.ndarray:
    """(2, H, W) flow (y, x) in pixels: direction as hue, length as brightness."""
    y, x = flow.float().cpu().numpy()
    length, angle = cv2.cartToPolar(x, y, angleInDegrees=True)
    full = FLOW_SHOWN * flow.shape[-1]
    hsv = np.stack([angle, np.ones_like(angle), np.clip(length / full, 0, 1)], axis=-1)
    return (cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255).astype(np.uint8)
