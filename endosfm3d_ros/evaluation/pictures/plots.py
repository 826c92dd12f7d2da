"""Curves of an evaluation as PNG files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from endosfm3d_ros.evaluation.metrics.pose import umeyama
from endosfm3d_ros.files.atomic import replacing
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import IntrinsicsEstimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

STATES = {  # of self-calibration: colours of its curve
    "uninitialised": "tab:grey",
    "unobservable": "tab:orange",
    "converging": "tab:blue",
    "converged": "tab:green",
    "changed": "tab:red",
    "fixed": "black",
    "given": "tab:olive",
}


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that many inches, which needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def plot_trajectory(
    path: Path, estimate: np.ndarray, reference: np.ndarray, numbers: np.ndarray, metric: bool
) -> None:
    """Both paths from the front and from above, and the distance between them over frames.

    Args:
        path: PNG to write.
        estimate: (N, 3) camera centres, aligned here: by SE(3) where metric, else by SIM(3).
        reference: (N, 3) camera centres in the world of the reference.
        numbers: (N,) positions in the clip.
        metric: whether both are in metres, and are drawn in millimetres.
    """
    aligned = umeyama(estimate, reference, with_scale=not metric).apply(estimate)
    scale, unit = (1e3, "mm") if metric else (1.0, "units of the reference")
    figure = new_figure(12, 4)
    *views, errors = figure.subplots(1, 3)
    for axes, (a, b) in zip(views, ((0, 1), (0, 2))):
        axes.plot(*(scale * reference[:, (a, b)].T), color="tab:grey", label="reference")
        axes.plot(*(scale * aligned[:, (a, b)].T), color="tab:blue", label="estimate")
        axes.set(xlabel=f"{'xyz'[a]} in {unit}", ylabel=f"{'xyz'[b]} in {unit}")
        axes.set_aspect("equal", "datalim")
        axes.legend()
    errors.plot(numbers, scale * np.linalg.norm(aligned - reference, axis=1), color="tab:blue")
    errors.set(xlabel="frame", ylabel=f"distance in {unit}", ylim=(0, None))
    errors.xaxis.get_major_locator().set_params(integer=True)
    figure.suptitle("Path of the camera after alignment with the reference")
    with replacing(path) as scratch:
        figure.savefig(scratch, dpi=100)


def plot_focal_length(
    path: Path, estimates: dict[int, IntrinsicsEstimate], references: dict[int, PinholeCamera]
) -> None:
    """Focal length over frames with its 95 % band, coloured by state, beside the calibration.

    Args:
        path: PNG to write.
        estimates: by position in the clip.
        references: true cameras, by position; all is drawn at the size of their image.
    """
    frames = np.array(sorted(estimates))
    each = [estimates[i] for i in frames]
    truths = [references[i] for i in frames]
    scale = np.array([truth.width / e.camera.width for truth, e in zip(truths, each)])
    focal = scale * np.array([e.camera.fx for e in each])
    band = 1.96 * scale * np.sqrt([max(e.covariance[0, 0], 0.0) for e in each])
    figure = new_figure(8, 4)
    axes = figure.subplots()
    axes.fill_between(frames, focal - band, focal + band, alpha=0.2, color="tab:blue", lw=0)
    states = np.array([e.state for e in each])
    for state in dict.fromkeys(states):
        here = states == state
        axes.plot(frames[here], focal[here], ".", color=STATES.get(state, "tab:blue"), label=state)
    true = np.array([truth.fx for truth in truths])
    axes.plot(frames, true, color="tab:grey", ls="--", label="calibration")
    axes.set(xlabel="frame", ylabel="focal length fx in px", title="Focal length, 95 % band")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.set_ylim(0.5 * true.min(), 1.5 * true.max())
    axes.legend()
    with replacing(path) as scratch:
        figure.savefig(scratch, dpi=100)
