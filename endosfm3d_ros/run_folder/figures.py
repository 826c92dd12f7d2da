"""Curves of a run as PDF for papers and PNG for screens: titled, with units."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from endosfm3d_ros.evaluation.pictures.plots import STATES, new_figure
from endosfm3d_ros.files.atomic import replacing
from endosfm3d_ros.run_folder.frame_record import FrameRecord
from endosfm3d_ros.types import ScaleSource, TrackingState

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE = (7.0, 3.2)  # inches
DPI = 160
STAGES = ("segment", "intrinsics", "depth", "motion", "tissue", "tools")


@dataclass(frozen=True)
class Curves:
    """The records of a run on one axis of time."""

    name: str  # of the recording
    records: Sequence[FrameRecord]

    @property
    def seconds(self) -> np.ndarray:
        """(N,) since the first frame."""
        stamps = np.array([record.stamp for record in self.records], np.int64)
        return (stamps - stamps[0]) * 1e-9

    @property
    def unit(self) -> tuple[float, str]:
        """Factor on lengths, and what they are then."""
        relative = any(record.scale == ScaleSource.RELATIVE for record in self.records)
        return (1.0, "scale-free units") if relative else (1e3, "mm")

    def values(self, of: Callable[[FrameRecord], float]) -> np.ndarray:
        """(N,) one number of every frame."""
        return np.array([of(record) for record in self.records], np.float64)


def write_figures(folder: Path, name: str, records: Sequence[FrameRecord]) -> list[Path]:
    """Every figure that the records have something for, as `<what>.png` and `.pdf`.

    Returns:
        the PNG files, in the order in which people want to see them.
    """
    folder.mkdir(exist_ok=True)
    curves, written = Curves(name, records), []
    for what, draw in FIGURES.items():
        figure = draw(curves)
        if figure is None:
            continue
        for suffix in (".pdf", ".png"):
            with replacing(folder / f"{what}{suffix}") as scratch:
                figure.savefig(scratch, dpi=DPI, format=suffix[1:])
        written.append(folder / f"{what}.png")
    return written


def _trajectory(curves: Curves) -> Figure:
    factor, unit = curves.unit
    centres = factor * np.array([record.T_map_camera[:3, 3] for record in curves.records])
    lost = curves.values(lambda record: record.state == TrackingState.LOST) > 0
    figure = new_figure(*SIZE)
    figure.suptitle(f"Path of the camera: {curves.name}")
    views = zip(figure.subplots(1, 2), ((0, 1), (0, 2)), ("from behind", "from above"))
    for axes, (a, b), title in views:
        axes.plot(centres[:, a], centres[:, b], color="tab:blue", lw=1)
        axes.plot(*centres[0, [a, b]], "o", color="tab:green", label="first frame")
        axes.plot(*centres[~lost][-1:, [a, b]].T, "s", color="tab:red", label="last frame")
        axes.set(xlabel=f"{'xyz'[a]} [{unit}]", ylabel=f"{'xyz'[b]} [{unit}]", title=title)
        axes.set_aspect("equal", "datalim")
        if b == 1:
            axes.invert_yaxis()  # y points down
    axes.legend(fontsize="small")
    return figure


def _depth(curves: Curves) -> Figure:
    factor, unit = curves.unit
    figure, axes = _over_time(curves, "Depth", f"median depth [{unit}]")
    median = factor * curves.values(lambda r: r.depth_median)
    axes.plot(curves.seconds, median, color="tab:blue", label="median depth")
    shares = axes.twinx()
    shares.set(ylabel="share", ylim=(0, 1.02))
    coverage = curves.values(lambda r: r.depth_coverage)
    confidence = curves.values(lambda r: r.confidence)
    shares.plot(curves.seconds, coverage, color="tab:green", ls="--", label="pixels with depth")
    shares.plot(curves.seconds, confidence, color="tab:orange", ls=":", label="mean confidence")
    lines = axes.get_lines() + shares.get_lines()
    axes.set_ylim(0, 1.3 * np.nanmax(median, initial=1e-9))
    axes.legend(handles=lines, fontsize="small", ncols=3, loc="lower center")
    return figure


def _camera(curves: Curves) -> Figure:
    figure, axes = _over_time(curves, "Estimated focal length, 95 % band", "fx [px]")
    focal = curves.values(lambda r: r.camera.fx)
    band = 1.96 * focal * curves.values(lambda r: r.focal_sigma)
    axes.fill_between(curves.seconds, focal - band, focal + band, alpha=0.2, lw=0)
    states = np.array([record.intrinsics_state for record in curves.records])
    for state in dict.fromkeys(states.tolist()):
        here, colour = states == state, STATES.get(state, "tab:blue")
        axes.plot(curves.seconds[here], focal[here], ".", color=colour, label=state)
    axes.legend(fontsize="small")
    return figure


def _timing(curves: Curves) -> Figure:
    figure, axes = _over_time(curves, "Time per frame", "time [ms]")
    below = np.zeros(len(curves.records))
    for stage in STAGES:
        here = curves.values(lambda r, stage=stage: r.milliseconds.get(stage, 0.0))
        if here.any():
            axes.fill_between(curves.seconds, below, below + here, label=stage, lw=0)
            below += here
    axes.set_ylim(0, 1.1 * np.percentile(below, 98) + 1)
    axes.legend(fontsize="small", ncols=3)
    return figure


def _clearance(curves: Curves) -> Figure | None:
    """Gaps are frames without a valid distance; the band reaches down to the lower bound."""
    ids = sorted({found.id for record in curves.records for found in record.clearances})
    valid = any(found.valid for record in curves.records for found in record.clearances)
    if not valid:
        return None
    figure, axes = _over_time(curves, "Clearance of instruments", "distance to tissue [mm]")
    for tool in ids:
        rows = [{c.id: c for c in record.clearances}.get(tool) for record in curves.records]
        pairs = [(c.distance, c.lower_bound_95) if c and c.valid else (np.nan,) * 2 for c in rows]
        distance, bound = 1e3 * np.array(pairs).T
        (line,) = axes.plot(curves.seconds, distance, ".-", ms=3, lw=1, label=f"instrument {tool}")
        axes.fill_between(curves.seconds, bound, distance, alpha=0.2, color=line.get_color(), lw=0)
    axes.set_ylim(0, None)
    axes.legend(fontsize="small")
    return figure


def _over_time(curves: Curves, title: str, label: str) -> tuple[Figure, Axes]:
    figure = new_figure(*SIZE)
    axes = figure.subplots()
    axes.set(title=f"{title}: {curves.name}", xlabel="time [s]", ylabel=label)
    axes.set_xlim(0, max(curves.seconds[-1], 1e-3))
    lost = curves.values(lambda record: record.state == TrackingState.LOST) > 0
    if lost.any():
        whole = {"transform": axes.get_xaxis_transform(), "color": "tab:red", "alpha": 0.15}
        axes.fill_between(curves.seconds, 0, 1, where=lost, **whole)
    return figure, axes


FIGURES = {
    "trajectory": _trajectory,
    "depth": _depth,
    "camera": _camera,
    "timing": _timing,
    "clearance": _clearance,
}
