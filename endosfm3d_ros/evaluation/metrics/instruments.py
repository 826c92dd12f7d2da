"""What the pipeline says of instruments against what is true: ends, joints, clearances, phantoms.

- `distal_iou`: silhouettes and true masks within 15 mm of the true tip;
- `tip_err_mm`, `jaw_err_deg`, `wrist_err_deg`: middle of the jaws' ends, angle between the jaws,
  direction from the wrist to the jaws; of trusted tools, medians;
- `tracked_share`: instruments in sight that a trusted tool stands for;
- `phantom_frames`: frames with a trusted tool or a valid clearance where there is no instrument;
- `clearance_*`: share of instruments in sight with a valid one, median error, and how many of the
  lower bounds were larger than the truth.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np

from endosfm3d_ros.datasets.formats.tool_truth import ToolPosture
from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.scene.clearance import clearances
from endosfm3d_ros.tools.shapes.silhouette import silhouette
from endosfm3d_ros.tools.stage import PlacedTool
from endosfm3d_ros.types import SceneUpdate

DISTAL = 0.015  # m around the tip
IN_SIGHT = 0.01  # of the picture, that a true mask must have
OWN = 0.1  # share of a tool's pixels that must be on an instrument


@dataclass
class InstrumentScores:
    """Collected over a clip."""

    columns: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    clearances: list[tuple[float, float, float]] = field(default_factory=list)  # m; see `add`
    phantoms: int = 0
    frames: int = 0
    in_sight: int = 0
    tracked: int = 0

    def add(self, i: int, sequence: Sequence, update: SceneUpdate) -> None:
        """Take in one frame of a clip whose instruments are known."""
        instances = _true_instances(sequence, i)
        if instances is None or update.tools is None:
            return
        self.frames += 1
        present = np.bincount(instances.ravel(), minlength=256)[1:] > IN_SIGHT * instances.size
        self.in_sight += int(present.sum())
        labels = update.tools.tracks.labels
        found = {each.id: each for each in clearances(update) if each.valid}
        truths, postures = sequence.tool_clearances(i), sequence.tool_postures(i)
        phantom, tracked = False, set()
        for tool in update.tools.tools:
            trusted = tool.placement is not None and tool.placement.trusted
            true = true_label(labels == tool.track.id, instances)
            phantom |= not true and (trusted or tool.track.id in found)
            if true and trusted and not tool.track.lost:
                tracked.add(true)
                self._add_posture(tool, postures.get(true), instances == true, update.depth.camera)
            clearance, truth = found.get(tool.track.id), truths.get(true, np.nan)
            if clearance is not None and np.isfinite(truth):
                self.clearances.append((clearance.distance, clearance.lower_bound_95, truth))
        self.tracked += sum(present[true - 1] for true in tracked)
        self.phantoms += phantom

    def _add_posture(
        self, tool: PlacedTool, truth: ToolPosture | None, mask: np.ndarray, camera: PinholeCamera
    ) -> None:
        if truth is None or mask.shape != (camera.height, camera.width):
            return
        placement, model = tool.placement, tool.model
        solid = silhouette(placement.points(model.vertices), model.faces, camera)
        near = within(truth.tip, DISTAL, camera)
        union = np.count_nonzero((solid | mask) & near)
        if union:
            self.columns["distal_iou"].append(np.count_nonzero(solid & mask & near) / union)
        if model.tip is not None:
            tip = placement.points(model.tip[None])[0]
            self.columns["tip_err_mm"].append(1e3 * float(np.linalg.norm(tip - truth.tip)))
        if not len(placement.joints):
            return
        pitch, first, second = placement.joints
        if np.isfinite(truth.opening):
            self.columns["jaw_err_deg"].append(
                float(np.degrees(abs(first - second - truth.opening)))
            )
        if truth.bends:
            axis = placement.R @ jaws_axis(pitch, (first + second) / 2)
            cosine = np.clip(axis @ truth.axis, -1, 1)
            self.columns["wrist_err_deg"].append(float(np.degrees(np.arccos(cosine))))

    def values(self) -> dict[str, float]:
        """The measures by name; those that nothing is known of are left out."""
        if not self.frames:
            return {}
        medians = {name: float(np.median(column)) for name, column in self.columns.items()}
        if "distal_iou" in medians:
            medians["distal_iou"] = float(np.mean(self.columns["distal_iou"]))
        values = medians | {"phantom_frames": self.phantoms}
        if self.in_sight:
            values["tracked_share"] = self.tracked / self.in_sight
            values["clearance_valid_share"] = len(self.clearances) / self.in_sight
        if self.clearances:
            found, bound, truth = np.array(self.clearances).T
            values["clearance_err_mm"] = 1e3 * float(np.median(np.abs(found - truth)))
            values["bound_violations"] = int((bound > truth).sum())
        return values


def true_label(own: np.ndarray, instances: np.ndarray) -> int:
    """The instrument that most pixels of a (H, W) bool tool are on; 0 where hardly any is."""
    counts = np.bincount(instances[own], minlength=1)
    if counts[1:].sum() <= OWN * max(1, counts.sum()):
        return 0
    return int(counts[1:].argmax()) + 1


def within(point: np.ndarray, radius: float, camera: PinholeCamera) -> np.ndarray:
    """(H, W) bool: pixels that see something at the depth of a (3,) point, `radius` m around it."""
    (u, v), z = camera.project(point[None])[0], max(float(point[2]), 1e-3)
    rows, columns = np.mgrid[: camera.height, : camera.width]
    return np.hypot(columns - u, rows - v) < radius * camera.fx / z


def jaws_axis(pitch: float, yaw: float) -> np.ndarray:
    """(3,) direction from the wrist to between the jaws, in the frame of a jointed model."""
    return np.array([np.sin(yaw), -np.sin(pitch) * np.cos(yaw), np.cos(pitch) * np.cos(yaw)])


def _true_instances(sequence: Sequence, i: int) -> np.ndarray | None:
    """(H, W) uint8 instruments, or just a mask of them all; None where nobody knows."""
    instances, mask = sequence.instances(i), sequence.mask(i)
    if instances is None and mask is not None:
        return mask.astype(np.uint8)
    return instances
