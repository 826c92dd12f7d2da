"""What needs no network: constant depth, brightness, and the mean plane of the clip's own truth.

A depth network is worth something where it beats all three. The plane is not a method that could
be used: it knows the reference.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.evaluation.metrics.depth import score_image
from endosfm3d_ros.evaluation.metrics.protocols import DepthProtocol
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.sfm.depth.shading import ShadingSource

MEASURES = ("abs_rel_median_scaled", "delta1", "abs_rel_affine", "delta1_affine", "relief")
STEP = 4  # px between those that are looked at: baselines are smooth


def baseline_scores(
    sequence: Sequence, frames: Iterable[int], protocol: DepthProtocol | None = None
) -> dict[str, float]:
    """Means over frames, as `<baseline>_<measure>`; empty where no frame has a reference.

    Args:
        sequence: the clip.
        frames: positions to score.
        protocol: which reference values count; None for all.
    """
    columns: dict[str, list[float]] = defaultdict(list)
    for each in _each_frame(sequence, sorted(frames), protocol):
        for name, scores in each.items():
            for measure in MEASURES:
                if np.isfinite(scores.get(measure, np.nan)):
                    columns[f"{name}_{measure}"].append(scores[measure])
    return {name: float(np.mean(values)) for name, values in columns.items()}


def _each_frame(
    sequence: Sequence, frames: list[int], protocol: DepthProtocol | None
) -> Iterator[dict[str, dict[str, float]]]:
    """Measures of every baseline on each frame with a reference."""
    references = {i: sequence.reference_depth(i) for i in frames}
    if protocol is not None:
        references = {i: g if g is None else protocol.scored(g) for i, g in references.items()}
    known = {i: g[::STEP, ::STEP] for i, g in references.items() if g is not None}
    known = {i: g for i, g in known.items() if np.isfinite(g).any()}
    if not known:
        return
    plane = mean_plane(list(known.values()))
    shading = ShadingSource()
    for i, frame in enumerate(islice(sequence, max(known) + 1)):
        if i not in known:
            continue
        reference = known[i]
        height, width = frame.image.shape[:2]
        camera = sequence.camera or PinholeCamera.default(width, height)
        brightness = shading.estimate(frame, camera).depth[::STEP, ::STEP]
        yield {
            "constant": score_image(np.ones_like(reference), reference, metric=False),
            "brightness": score_image(brightness, reference, metric=False),
            "mean_plane": score_image(plane, reference, metric=False),
        }


def mean_plane(references: list[np.ndarray]) -> np.ndarray:
    """(H, W) depth of the mean of the planes that fit each (H, W) reference in inverse depth.

    Each is normalised by its median first, so that far frames count as much as near ones.
    """
    height, width = references[0].shape
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    design = np.stack([x, y, np.ones_like(x)], axis=-1)  # (H, W, 3)
    planes = []
    for reference in references:
        known = np.isfinite(reference)
        inverse = np.median(reference[known]) / reference[known]
        planes.append(np.linalg.lstsq(design[known], inverse, rcond=None)[0])
    return 1 / np.maximum(design @ np.mean(planes, axis=0), 0.05)
