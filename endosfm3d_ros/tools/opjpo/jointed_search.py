"""Which instrument it is and how it stands, from one image: many starts, the best are refined."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.articulated.family import JAW
from endosfm3d_ros.tools.articulated.model import JointedModel
from endosfm3d_ros.tools.opjpo.jointed import JointedConfig, JointedFit, JointedRefiner
from endosfm3d_ros.tools.opjpo.prepared import JointedPose, Prepared
from endosfm3d_ros.tools.opjpo.target import MaskTarget
from endosfm3d_ros.tools.shapes.capsule_fit import (
    CapsuleConfig,
    CapsuleFit,
    fit_capsule,
    measured_axis,
)
from endosfm3d_ros.tools.shapes.silhouette import silhouettes
from endosfm3d_ros.tools.types import ToolObservation


@dataclass(frozen=True)
class SearchConfig:
    """What is tried."""

    rolls: int = 8  # in half a turn
    pitches: tuple[float, ...] = (-0.6, 0.0, 0.6)  # rad
    openings: tuple[float, ...] = (0.06, 0.35)  # rad, of each jaw
    resolution: int = 56  # px of the window's larger side
    kept: int = 5  # starts that are refined
    shaft: float = 0.4  # of the mask's length from its tip, beyond which it is all shaft
    refine: JointedConfig = field(
        default_factory=lambda: JointedConfig(
            iterations=6, rotation=0.4, translation=0.3, joint=0.5, outline_points=100,
            contour_points=60,
        )
    )  # fmt: skip
    refine_resolution: int = 110  # px


def searched(
    prepared: Prepared, observation: ToolObservation, diameter: float, config: SearchConfig
) -> JointedFit:
    """The best pose of one model.

    1. Where the shaft is, by mask and depth, 2. rolls, bends and openings tried by silhouette,
    3. the best of them refined with the joints free.

    Args:
        prepared: the model.
        observation: mask, and depth where it is known.
        diameter: of its shaft, m.
        config: what is tried.

    Raises:
        InputError: the mask is too small, or fills the image.
    """
    starts = [
        _standing(prepared.model, tip, direction, roll, joints, end)
        for tip, direction in shaft_lines(observation, diameter, config)
        for joints in _joints(prepared.model, config)
        for end in _ends(prepared.model, joints)
        for roll in _rolls(prepared.model, config)
    ]
    target = MaskTarget.of(observation, config.resolution)
    points = np.stack([prepared.vertices(start) for start in starts])
    solid = silhouettes(prepared.mesh, points, observation.camera, target.window)
    overlaps = target.overlaps(solid)
    if target.hides:
        behind = (solid & ~target.known).sum(axis=(1, 2)) / max(1, target.area)
        overlaps = overlaps - config.refine.hidden_cost * behind
    refiner = JointedRefiner(prepared, observation, config.refine_resolution, config.refine)
    merits = overlaps - [refiner.cost(refiner.gaps(s)) if refiner.depth else 0.0 for s in starts]
    best = np.argsort(-merits, kind="stable")[: config.kept]
    return max((refiner.run(starts[k]) for k in best), key=lambda fit: fit.merit)


def shaft_lines(
    observation: ToolObservation, diameter: float, config: SearchConfig
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(3,) tip in the camera frame, m, and (3,) unit direction of the shaft towards it.

    By the whole mask, and by its outer part alone where that tells: bent jaws turn the whole.
    """
    capsule = CapsuleConfig(diameter=diameter)
    whole = fit_capsule(observation.mask, capsule)
    fits = [whole, _of_shaft(observation.mask, whole, capsule, config)]
    lines = []
    for fit in fits:
        if fit is None:
            continue
        places = np.array([0.0, fit.length])
        points = measured_axis(fit, places, observation, diameter / 2)
        if points is None:
            points = np.array([fit.point(p, diameter, observation.camera) for p in places])
        near, far = points
        direction = (near - far) / np.linalg.norm(near - far)
        lines.append((_tip(whole, near, direction, observation.camera), direction))
    return lines


def _of_shaft(
    mask: np.ndarray, whole: CapsuleFit, capsule: CapsuleConfig, config: SearchConfig
) -> CapsuleFit | None:
    """The outer part of the mask measured by itself; None where it is too short for an axis."""
    rows, columns = np.nonzero(mask)
    along = (np.column_stack([columns, rows]) - whole.tip) @ whole.direction
    outer = along > config.shaft * whole.length
    if np.count_nonzero(outer) < 4 * capsule.min_pixels:
        return None
    part = np.zeros_like(mask)
    part[rows[outer], columns[outer]] = True
    fit = fit_capsule(part, capsule)
    if fit.length < 1.5 * fit.width:
        return None
    if fit.direction @ whole.direction < 0:
        tip = fit.tip + fit.length * fit.direction
        fit = replace(fit, tip=tip, direction=-fit.direction, growth=0.0)
    return fit


def _tip(
    whole: CapsuleFit, near: np.ndarray, direction: np.ndarray, camera: PinholeCamera
) -> np.ndarray:
    """(3,) the point of the shaft's line, drawn out, that is seen nearest to the mask's tip."""
    reach = np.linspace(-0.02, 0.08, 201)[:, None]
    points = near + reach * direction
    ahead = points[:, 2] > 0.005
    if not ahead.any():
        return near
    points = points[ahead]
    apart = np.linalg.norm(camera.project(points) - whole.tip, axis=1)
    return points[np.argmin(apart)]


def _rolls(model: JointedModel, config: SearchConfig) -> np.ndarray:
    turn = np.pi if model.half_turn else 2 * np.pi
    count = config.rolls if model.half_turn else 2 * config.rolls
    if not model.linkage.free.any():
        count = 1
    return np.arange(count) * turn / count


def _joints(model: JointedModel, config: SearchConfig) -> list[np.ndarray]:
    free, paired = model.linkage.free, model.linkage.paired
    pitches = config.pitches if free[0] else (0.0,)
    openings = config.openings if paired else (0.0,)
    return [np.array([p, o, -o]) for p in pitches for o in openings]


def _ends(model: JointedModel, joints: np.ndarray) -> list[np.ndarray]:
    """(3,) points in the tool frame that may be the tip of the mask."""
    tip = model.tip_at(joints)
    if model.thick is None:
        return [tip]
    turns, moves = model.linkage.links(joints)
    return [tip, turns[JAW, :, 2] * model.thick + moves[JAW]]


def _standing(
    model: JointedModel,
    tip: np.ndarray,
    direction: np.ndarray,
    roll: float,
    joints: np.ndarray,
    reach: np.ndarray,
) -> JointedPose:
    """The pose at which an end of the jaws is at the tip of the mask."""
    helper = np.eye(3)[np.argmin(np.abs(direction))]
    x = np.cross(helper, direction)
    x /= np.linalg.norm(x)
    y = np.cross(direction, x)
    R = np.column_stack(
        [np.cos(roll) * x + np.sin(roll) * y, np.cos(roll) * y - np.sin(roll) * x, direction]
    )
    position = tip - R @ reach
    if position[2] < 0.01:  # behind the camera: no start at all
        position = tip - direction * reach[2]
    return JointedPose(R, position, joints)
