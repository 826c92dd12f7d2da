"""The picture and the figures of what came back from a demo clip."""

from __future__ import annotations

import cv2
import numpy as np
from sensor_msgs.msg import PointCloud2

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.evaluation.metrics.depth import score_image
from endosfm3d_ros.nodes.messages.cloud import CLOUD_DTYPE
from endosfm3d_ros.nodes.offline.demo import Heard
from endosfm3d_ros.scene.pictures import depth_colours, depth_range
from endosfm3d_ros.types import ScaleSource


def figures(heard: Heard, clip: Sequence) -> dict[str, float]:
    """What came back against the exact truth of a simulated clip.

    Errors in millimetres; only the shape of the depth where it has no scale.
    """
    if heard.status is not None and heard.status.scale_source == ScaleSource.RELATIVE.value:
        return {"depth_abs_rel_median_scaled": _shape_error(heard, clip)}
    errors, positions = [], []
    for i, frame in enumerate(clip):
        if frame.stamp in heard.depth:
            difference = heard.depth[frame.stamp] - clip.reference_depth(i)
            errors.append(np.nanmedian(np.abs(difference)))
        if frame.stamp in heard.poses:
            truth = clip.reference_pose(i)[:3, 3]
            positions.append(np.linalg.norm(heard.poses[frame.stamp][:3, 3] - truth))
    return {
        "depth_median_error_mm": 1e3 * _mean(errors),
        "position_rmse_mm": 1e3 * float(np.sqrt(_mean(np.square(positions)))),
    }


def _shape_error(heard: Heard, clip: Sequence) -> float:
    """Mean relative error of depth after the scale of each frame was fitted."""
    each = [
        score_image(heard.depth[frame.stamp], clip.reference_depth(i), metric=False)
        for i, frame in enumerate(clip)
        if frame.stamp in heard.depth
    ]
    return _mean([scores["abs_rel_median_scaled"] for scores in each if len(scores) > 1])


def _mean(values: list[float] | np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def picture(heard: Heard, clip: Sequence) -> np.ndarray:
    """(2H, 3W, 3) uint8 RGB of the last frame that was answered on every topic.

    Above: the image, its depth, the instruments found in it. Below: the tissue without them, its
    depth in the map, and the complete cloud seen from the side.
    """
    answered = [f for f in clip if f.stamp in heard.depth and f.stamp in heard.tissue_depth]
    frame = answered[-1] if answered else [f for f in clip if f.stamp in heard.depth][-1]
    height, width = frame.image.shape[:2]
    depth, behind = heard.depth[frame.stamp], heard.tissue_depth.get(frame.stamp)
    near, far = depth_range(depth)
    nothing = np.zeros((height, width, 3), np.uint8)
    tiles = {
        "image": frame.image,
        "depth": depth_colours(depth, near, far),
        "instruments": outlined(frame.image, heard.labels.get(frame.stamp)),
        "tissue, instruments removed": heard.tissue.get(frame.stamp, nothing),
        "depth of that tissue": nothing if behind is None else depth_colours(behind, near, far),
        "cloud from the side": side_view(heard.clouds[-1], width, height)
        if heard.clouds
        else nothing,
    }
    drawn = [_titled(tile, title, width, height) for title, tile in tiles.items()]
    return np.vstack([np.hstack(drawn[:3]), np.hstack(drawn[3:])])


def _titled(tile: np.ndarray, title: str, width: int, height: int) -> np.ndarray:
    tile = cv2.resize(np.ascontiguousarray(tile), (width, height))
    font, size = cv2.FONT_HERSHEY_SIMPLEX, width / 900
    for colour, thickness in (((0, 0, 0), 4), ((255, 255, 255), 1)):
        cv2.putText(tile, title, (10, height - 14), font, size, colour, thickness, cv2.LINE_AA)
    return tile


def outlined(image: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """The image with each instrument tinted and framed in a colour of its identity.

    Args:
        image: (H, W, 3) uint8 RGB.
        labels: (H, W) integers, 0 is tissue; None leaves the image as it is.
    """
    drawn = image.copy()
    if labels is None:
        return drawn
    labels = cv2.resize(labels, image.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    for number in np.unique(labels[labels > 0]):
        mask = (labels == number).astype(np.uint8)
        colour = _COLOURS[(int(number) - 1) % len(_COLOURS)]
        drawn[mask > 0] = 0.65 * drawn[mask > 0] + 0.35 * np.array(colour)
        edges, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(drawn, edges, -1, colour, 2, cv2.LINE_AA)
    return drawn


_COLOURS = ((60, 220, 255), (255, 210, 60), (120, 255, 120), (255, 120, 220))  # RGB


def side_view(message: PointCloud2, width: int, height: int, angle: float = 0.5) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a cloud, turned about its middle by `angle` radians."""
    cloud = np.frombuffer(message.data, CLOUD_DTYPE)
    points = np.stack([cloud["x"], cloud["y"], cloud["z"]], axis=1)
    middle = np.median(points, axis=0)
    cosine, sine = np.cos(angle), np.sin(angle)
    turn = np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])
    seen = (points - middle) @ turn.T + (0, 0, 1.2 * middle[2])
    u, v = (seen[:, :2] / seen[:, 2:] * 0.87 * width + (width / 2, height / 2)).T.astype(int)
    canvas = np.full((height, width, 3), 24, np.uint8)
    inside = (u >= 0) & (u < width) & (v >= 0) & (v < height)
    order = np.argsort(-seen[:, 2])  # far ones first
    order = order[inside[order]]
    rgb = cloud["rgb"][order]
    canvas[v[order], u[order]] = np.stack([rgb >> 16, rgb >> 8 & 255, rgb & 255], axis=1)
    return cv2.dilate(canvas, np.ones((3, 3), np.uint8))
