"""Everything that a run leaves apart from its bag: collected frame by frame, written at the end."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from endosfm3d_ros.datasets.formats.calibration import MONO_FILE, camera_content
from endosfm3d_ros.files.atomic import write_text
from endosfm3d_ros.pipeline.pipeline import Pipeline
from endosfm3d_ros.run_folder.depth_files import STEP, DepthFiles
from endosfm3d_ros.run_folder.figures import write_figures
from endosfm3d_ros.run_folder.frame_record import FrameRecord
from endosfm3d_ros.run_folder.grade import Grade
from endosfm3d_ros.run_folder.page import Page, write_page
from endosfm3d_ros.run_folder.settings import versions, write_settings
from endosfm3d_ros.run_folder.stills import Stills
from endosfm3d_ros.run_folder.trajectory import write_trajectory
from endosfm3d_ros.runtime.timing import LatencyWindow
from endosfm3d_ros.scene.files import SceneFiles
from endosfm3d_ros.scene.scene_cloud import T_map_camera, units_of
from endosfm3d_ros.types import Cloud, ScaleSource, SceneUpdate, TrackingState

SUMMARY = "summary.json"


@dataclass(frozen=True)
class RunOptions:
    """What was asked for."""

    name: str  # of the recording
    source: str  # where it lies
    fps: float
    settings: Mapping[str, Any] = field(default_factory=dict)  # options of the command
    depth: str = "none"  # files of depth: one of `depth_files.KINDS`
    splat_scale: float = 1.0
    live: bool = False


class Results:
    """Takes every update; `finish` writes the folder.

    Args:
        folder: exists and is empty.
        options: what was asked for.
        pipeline: that makes the updates.
    """

    def __init__(self, folder: Path, options: RunOptions, pipeline: Pipeline) -> None:
        self._folder, self._options, self._pipeline = folder, options, pipeline
        self._files = SceneFiles(folder, options.fps, options.splat_scale)
        self._depths = DepthFiles(folder, options.depth)
        self._latency = LatencyWindow(10_000)
        self._stills = Stills()
        self.records: list[FrameRecord] = []
        self._last: SceneUpdate | None = None

    def add(self, i: int, number: int, update: SceneUpdate) -> None:
        """The result of the frame at position `i`, which the recording calls `number`."""
        age = update.timings.get("total", 0.0) * 1e-3 if self._options.live else 0.0
        self.records.append(FrameRecord.of(number, update, age))
        picture = self._files.add(i, update)
        seconds = (update.frame.stamp - self.records[0].stamp) * 1e-9
        self._stills.add(number, seconds, picture)
        self._depths.add(number, update)
        self._latency.add(update.timings)
        self._last = update

    def finish(self, run: Mapping[str, Any], remarks: Sequence[tuple[int, str]]) -> dict[str, Any]:
        """Write everything; returns the summary.

        Args:
            run: how it went: `frames`, `frames_processed`, `frames_dropped`, `rate_hz` and more.
            remarks: (severity 0..2, sentence) about input and run.
        """
        update, folder = self._last, self._folder
        grade = Grade.of(self.records, run["frames"], run["frames_dropped"])
        summary: dict[str, Any] = {"source": self._options.source, **run}
        summary["grade"] = {"word": grade.word, "reasons": list(grade.reasons)}
        figures: list[Path] = []
        if update is not None:
            counts = self._files.finish(update, self._pipeline.tissue)
            self._depths.finish(self._options.fps)
            summary |= {**self._stream(update), **counts}
            summary["poses"] = write_trajectory(folder, self.records, units_of(update))
            self._write_camera(update)
            figures = write_figures(folder / "figures", self._options.name, self.records)
        write_settings(folder, self._options.source, dict(self._options.settings))
        write_text(folder / SUMMARY, json.dumps(summary, indent=1) + "\n")
        write_page(folder, self._page(grade, summary, remarks), figures)
        return summary

    def _stream(self, update: SceneUpdate) -> dict[str, Any]:
        """What is known about the stream."""
        stages = self._latency.percentiles()
        return {
            "depth_source": update.depth.source,
            "scale_source": update.depth.scale.value,
            "units": units_of(update),
            "lost_frames": sum(record.state == TrackingState.LOST for record in self.records),
            "focal_px": update.intrinsics.camera.fx,
            "focal_sigma": self.records[-1].focal_sigma,
            "intrinsics_state": update.intrinsics.state,
            "latency_ms": {name: {"p50": a, "p95": b} for name, (a, b) in stages.items()},
        }

    def _write_camera(self, update: SceneUpdate) -> None:
        """The camera of the raw image as estimated, as a clip folder takes it, with its doubt."""
        estimate = update.intrinsics
        content = camera_content(estimate.camera, None, self._options.fps, STEP)
        sigma = np.sqrt(np.maximum(np.diag(estimate.covariance), 0.0))
        content["sigma_px"] = dict(zip(("fx", "fy", "cx", "cy"), sigma.tolist()))
        content |= {"mode": estimate.mode, "state": estimate.state}
        write_text(self._folder / MONO_FILE, json.dumps(content, indent=1) + "\n")

    def _page(
        self, grade: Grade, summary: dict[str, Any], remarks: Sequence[tuple[int, str]]
    ) -> Page:
        small = {name: value for name, value in summary.items() if not isinstance(value, dict)}
        how = "live" if self._options.live else "every frame"
        return Page(
            name=self._options.name,
            made=f"{datetime.now().astimezone():%Y-%m-%d %H:%M}, {how}",
            grade=grade,
            facts=self._facts(summary),
            summary=small,
            latencies=self._latency.percentiles(),
            remarks=remarks,
            settings={"source": self._options.source, **self._options.settings},
            versions=versions(),
            scene=self._scene(),
            stills=self._stills.chosen(),
        )

    def _facts(self, summary: dict[str, Any]) -> dict[str, str]:
        """What is read first."""
        facts = {"frames": f"{summary['frames_processed']} of {summary['frames']}",
                 "frames a second": f"{summary['rate_hz']:.1f}"}  # fmt: skip
        if self._last is None:
            return facts
        metric = self._last.depth.scale != ScaleSource.RELATIVE
        depth = np.nanmedian([record.depth_median for record in self.records])
        facts["depth from"] = summary["depth_source"]
        facts["scale from"] = summary["scale_source"] if metric else "nowhere: relative"
        facts["median depth"] = f"{1e3 * depth:.0f} mm" if metric else f"{depth:.3f} units"
        facts["frames lost"] = str(summary["lost_frames"])
        nearest = self._nearest()
        if nearest is not None:
            facts["least clearance"] = f"{1e3 * nearest:.1f} mm"
        return facts

    def _nearest(self) -> float | None:
        found = [c.distance for record in self.records for c in record.clearances if c.valid]
        return min(found, default=None)

    def _scene(self) -> dict[str, Any]:
        """What the viewer of the page shows."""
        from endosfm3d_ros.web import scene_data

        update = self._last
        cloud = None if update is None else self._files.cloud(update)
        if cloud is None:
            cloud = Cloud(*(np.empty((0, n), t) for n, t in ((3, "f4"), (3, "u1"), (3, "f4"))),
                          np.empty(0, "f4"), np.empty(0, "u1"))  # fmt: skip
        scene: dict[str, Any] = {"cloud": scene_data.packed_cloud(cloud), "tools": [], "path": []}
        scene["metres"] = update is not None and update.depth.scale != ScaleSource.RELATIVE
        if update is not None:
            T = T_map_camera(update)
            tools = update.tools.tools if update.tools else ()
            known = [record for record in self.records if record.state != TrackingState.LOST]
            scene["tools"] = scene_data.packed_tools(tools, T)
            scene["path"] = scene_data.packed_path([record.T_scene_camera for record in known])
            scene["camera"] = scene_data.packed_camera(T, update.depth.camera)
        return scene
