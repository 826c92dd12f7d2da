"""Surgical instruments as jointed assemblies of rods and boxes.

Tool frame: origin at the end of the shaft, z along the shaft towards the jaws, metres. The wrist
bends about x at the origin; the jaws open about y at the hinge.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from endosfm3d_ros.datasets.formats.tool_truth import ToolPosture
from endosfm3d_ros.datasets.simulation.instruments.solids import BOX, ROD

SHAFT_LENGTH = 0.25  # metres; longer than any view is deep
SHAFT, WRIST, JAWS = 1, 2, 3  # parts, as in the label images
ON_SHAFT, ON_WRIST, ON_JAW, ON_OTHER_JAW = range(4)  # joints
PLASTIC, METAL, STEEL = range(3)  # materials: of the shaft, polished, dull


@dataclass(frozen=True)
class Solid:
    """One rod or box between two points of its joint's frame, millimetres."""

    joint: int
    part: int
    material: int
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    size: tuple[float, float]  # radii at both ends, or half width (x) and half height (y)
    flat: float = 1.0  # height over width of a rod's section
    kind: int = ROD


@dataclass(frozen=True)
class Kind:
    """A type of instrument."""

    name: str
    hinge: float  # millimetres from the shaft's end to the jaws' hinge
    solids: tuple[Solid, ...]
    bends: bool = True
    opens: bool = True


def _shaft(radius: float, collar: float = 0.0) -> tuple[Solid, ...]:
    length = SHAFT_LENGTH * 1e3
    tube = Solid(ON_SHAFT, SHAFT, PLASTIC, (0, 0, -length), (0, 0, -collar), (radius, radius))
    if not collar:
        return (tube,)
    ring = Solid(
        ON_SHAFT, SHAFT, STEEL, (0, 0, -collar), (0, 0, -1.0), (1.02 * radius, 0.98 * radius)
    )
    nose = Solid(ON_SHAFT, WRIST, METAL, (0, 0, -1.0), (0, 0, 1.5), (0.9 * radius, 0.6 * radius))
    return tube, ring, nose


def _wrist(width: float, hinge: float, material: int = METAL) -> tuple[Solid, ...]:
    arms = [
        Solid(
            ON_WRIST,
            WRIST,
            material,
            (x, 0, 0.5),
            (x, 0, hinge + 1.8),
            (0.22 * width, 0.62 * width),
            kind=BOX,
        )
        for x in (-0.6 * width, 0.6 * width)
    ]
    body = Solid(
        ON_WRIST, WRIST, STEEL, (0, 0, -1.5), (0, 0, hinge - 2), (0.8 * width, 0.8 * width), 0.8
    )
    pin = Solid(ON_WRIST, WRIST, METAL, (-width, 0, hinge), (width, 0, hinge), (1.4, 1.4))
    drum = Solid(ON_WRIST, WRIST, STEEL, (-0.9 * width, 0, 0.3), (0.9 * width, 0, 0.3), (1.9, 1.9))
    return *arms, body, pin, drum


def _pair(*solids: Solid) -> tuple[Solid, ...]:
    """Jaw solids and their mirror images on the other jaw."""
    mirrored = [
        Solid(
            ON_OTHER_JAW,
            s.part,
            s.material,
            (-s.start[0], *s.start[1:]),
            (-s.end[0], *s.end[1:]),
            s.size,
            s.flat,
            s.kind,
        )
        for s in solids
    ]
    return *solids, *mirrored


def _jaw(
    start: tuple[float, float, float],
    end: tuple[float, float, float],
    size: tuple[float, float],
    flat: float = 1.0,
    material: int = METAL,
    kind: int = ROD,
) -> Solid:
    return Solid(ON_JAW, JAWS, material, start, end, size, flat, kind)


KINDS = (
    Kind("fenestrated grasper", 9.0, (
        *_shaft(4.0, 8.0), *_wrist(3.0, 9.0),
        *_pair(
            _jaw((0.8, 0, -1), (1.0, 0, 5), (1.6, 2.2)),
            _jaw((1.0, 1.7, 4), (1.2, 1.7, 18), (0.8, 0.7)),
            _jaw((1.0, -1.7, 4), (1.2, -1.7, 18), (0.8, 0.7)),
            _jaw((1.2, 0, 17.2), (0.9, 0, 20), (2.3, 1.2), 0.5),
        ),
    )),
    Kind("needle driver", 8.0, (
        *_shaft(4.0, 6.0), *_wrist(3.0, 8.0),
        *_pair(
            _jaw((0.9, 0, -1), (0.8, 0, 4), (1.7, 1.9)),
            _jaw((0.8, 0, 4), (0.5, 0, 11), (1.9, 1.1), 0.9),
        ),
    )),
    Kind("scissors", 9.0, (
        *_shaft(4.0, 12.0), *_wrist(2.8, 9.0, STEEL),
        *_pair(
            _jaw((0.6, 0, -1), (0.6, 0, 4), (1.2, 1.5), 1.3),
            _jaw((0.6, 0, 4), (0.4, 1.2, 16), (0.7, 2.0), 1.0, METAL, BOX),
        ),
    )),
    Kind("curved forceps", 9.0, (
        *_shaft(4.0, 4.0), *_wrist(2.6, 9.0),
        *_pair(
            _jaw((0.7, 0, -1), (1.2, 0, 7), (1.4, 1.3), 1.4),
            _jaw((1.2, 0, 7), (0.9, 1.2, 13), (1.3, 1.0), 1.3),
            _jaw((0.9, 1.2, 12.6), (0.2, 3.2, 19), (1.0, 0.4), 1.2),
        ),
    )),
    Kind("hook", 7.0, (
        *_shaft(4.0, 10.0), *_wrist(2.8, 7.0),
        Solid(ON_JAW, JAWS, PLASTIC, (0, 0, -1), (0, 0, 6), (1.5, 1.4)),
        Solid(ON_JAW, JAWS, STEEL, (0, 0, 6), (0, 0, 15), (0.6, 0.6)),
        Solid(ON_JAW, JAWS, STEEL, (0, 0, 14.6), (0, 3.5, 15.2), (0.7, 0.5)),
    ), opens=False),
    Kind("suction tube", 1.0, (
        Solid(ON_SHAFT, SHAFT, STEEL, (0, 0, -250), (0, 0, -12), (2.5, 2.5)),
        Solid(ON_WRIST, JAWS, METAL, (0, 0, -12), (0, 0, 0), (2.5, 2.4)),
    ), bends=False, opens=False),
    Kind("straight grasper", 2.0, (
        Solid(ON_SHAFT, SHAFT, PLASTIC, (0, 0, -250), (0, 0, -4), (2.5, 2.5)),
        Solid(ON_SHAFT, WRIST, STEEL, (0, 0, -4), (0, 0, 1), (2.4, 2.2)),
        Solid(ON_SHAFT, WRIST, METAL, (1.8, 0, 0), (1.8, 0, 5), (0.5, 1.5), kind=BOX),
        Solid(ON_SHAFT, WRIST, METAL, (-1.8, 0, 0), (-1.8, 0, 5), (0.5, 1.5), kind=BOX),
        *_pair(
            _jaw((0.7, 0, -1), (0.9, 0, 9), (1.4, 1.8), 1.1, METAL),
            _jaw((0.9, 0, 9), (0.6, 0, 22), (1.8, 1.1), 1.2, METAL),
        ),
    ), bends=False),
    Kind("stapler", 14.0, (
        *_shaft(6.0, 14.0), *_wrist(4.6, 14.0, STEEL),
        *_pair(
            _jaw((1.8, 0, -2), (1.8, 0, 40), (1.5, 4.2), 1.0, STEEL, BOX),
            _jaw((1.8, 0, 40), (1.4, 0, 46), (2.4, 1.0), 1.6, METAL),
        ),
    )),
    Kind("monopolar spatula", 9.0, (
        *_shaft(4.0, 2.0), *_wrist(2.9, 9.0),
        Solid(ON_JAW, JAWS, PLASTIC, (0, 0, -1), (0, 0, 5), (2.0, 1.6)),
        Solid(ON_JAW, JAWS, METAL, (0, 0, 5), (0, 0, 16), (1.7, 0.9), 0.35),
    ), opens=False),
)  # fmt: skip


@dataclass(frozen=True)
class Templates:
    """`KINDS` as tensors with S solids each; metres."""

    frame: Tensor  # (kinds, S, 4, 4) solid in its joint
    size: Tensor  # (kinds, S, 4) as `solids` takes them
    reach: Tensor  # (kinds, S) metres from the axis to the farthest surface point
    form: Tensor  # (kinds, S) ROD, BOX, or -1 for none
    joint: Tensor  # (kinds, S)
    part: Tensor  # (kinds, S)
    material: Tensor  # (kinds, S)
    hinge: Tensor  # (kinds) metres
    bends: Tensor  # (kinds) bool
    opens: Tensor  # (kinds) bool


@lru_cache(maxsize=4)
def templates(device: str) -> Templates:
    """All kinds, padded to the largest number of solids."""
    most = max(len(kind.solids) for kind in KINDS)
    shape = (len(KINDS), most)
    frame = np.tile(np.eye(4, dtype=np.float32), (*shape, 1, 1))
    size = np.full((*shape, 4), 1e-3, np.float32)
    whole = {name: np.zeros(shape, np.int64) for name in ("form", "joint", "part", "material")}
    whole["form"][:] = -1
    for i, kind in enumerate(KINDS):
        for j, solid in enumerate(kind.solids):
            frame[i, j], length = _frame(solid)
            last = solid.flat if solid.kind == ROD else 1.0
            first, second = (value * 1e-3 for value in solid.size)
            size[i, j] = (first, second, length, last)
            values = (solid.kind, solid.joint, solid.part, solid.material)
            for plane, value in zip(whole.values(), values):
                plane[i, j] = value
    widest = np.maximum(size[..., 0], size[..., 1])
    reach = np.where(
        whole["form"] == BOX,
        np.hypot(size[..., 0], size[..., 1]),
        widest * np.maximum(1, size[..., 3]),
    )
    return Templates(
        *(torch.from_numpy(plane).to(device) for plane in (frame, size, reach.astype(np.float32))),
        **{name: torch.from_numpy(plane).to(device) for name, plane in whole.items()},
        hinge=torch.tensor([kind.hinge * 1e-3 for kind in KINDS], device=device),
        bends=torch.tensor([kind.bends for kind in KINDS], device=device),
        opens=torch.tensor([kind.opens for kind in KINDS], device=device),
    )


def _frame(solid: Solid) -> tuple[np.ndarray, float]:
    """4x4 of the solid in its joint (z from start to end, x kept near the joint's x), length."""
    start, end = np.array(solid.start) * 1e-3, np.array(solid.end) * 1e-3
    length = np.linalg.norm(end - start)
    z = (end - start) / length
    near_x = np.array([1.0, 0, 0]) if abs(z[0]) < 0.9 else np.array([0, 0, 1.0])
    y = np.cross(z, near_x)
    y /= np.linalg.norm(y)
    T = np.eye(4)
    T[:3] = np.column_stack([np.cross(y, z), y, z, start])
    return T, float(length)


@dataclass(frozen=True)
class Tools:
    """I instruments in each of N scenes; a kind of -1 is an absent one."""

    kind: Tensor  # (N, I)
    poses: Tensor  # (N, T, I, 4, 4) tool in world, metres
    bend: Tensor  # (N, T, I) radians at the wrist
    opening: Tensor  # (N, T, I) radians of each jaw from the axis
    scale: Tensor  # (N, I) of the tool's size

    def solids(self) -> tuple[Tensor, Tensor, Tensor]:
        """(N, T, I * S, 4, 4) frames in the world, (N, I * S, 4) sizes and (N, I * S) forms."""
        made = templates(str(self.kind.device))
        kind = self.kind.clamp(min=0)
        scale = self.scale[..., None, None]
        joints = self._joints(made, kind)
        joint = made.joint[kind][:, None, ..., None, None]
        chosen = torch.take_along_dim(joints, joint, 3)
        local = made.frame[kind].clone()
        local[..., :3, 3] *= scale
        frames = self.poses[:, :, :, None] @ chosen @ local[:, None]
        size = made.size[kind].clone()
        size[..., :3] *= scale
        rods = (made.form[kind] == ROD)[..., None]
        size[..., 3:] = torch.where(rods, size[..., 3:], 1.0)
        form = torch.where(self.kind[..., None] < 0, -1, made.form[kind])
        return frames.flatten(2, 3), size.flatten(1, 2), form.flatten(1, 2)

    def postures(self) -> list[ToolPosture]:
        """Of the instruments of the first scene and time, each in its own frame."""
        made = templates(str(self.kind.device))
        joints = self._joints(made, self.kind.clamp(min=0))[0, 0].double().numpy()
        scales = self.scale[0].double().tolist()
        return [
            _posture(KINDS[kind], *state)
            for kind, *state in zip(
                self.kind[0].tolist(), joints, scales, self.bend[0, 0].tolist(),
                self.opening[0, 0].tolist(),
            )
        ]  # fmt: skip

    def _joints(self, made: Templates, kind: Tensor) -> Tensor:
        """(N, T, I, 4, 4, 4): shaft, wrist and both jaws in the tool frame."""
        bend = self.bend * made.bends[kind][:, None]
        opening = self.opening * made.opens[kind][:, None]
        hinge = (made.hinge[kind] * self.scale)[:, None].expand_as(bend)
        still = torch.eye(4, device=bend.device).expand(*bend.shape, 4, 4)
        wrist = still.clone()
        wrist[..., 1, 1] = wrist[..., 2, 2] = bend.cos()
        wrist[..., 2, 1] = bend.sin()
        wrist[..., 1, 2] = -wrist[..., 2, 1]
        jaws = []
        for angle in (opening, -opening):
            jaw = still.clone()
            jaw[..., 0, 0] = jaw[..., 2, 2] = angle.cos()
            jaw[..., 0, 2] = angle.sin()
            jaw[..., 2, 0] = -jaw[..., 0, 2]
            jaw[..., 2, 3] = hinge
            jaws.append(wrist @ jaw)
        return torch.stack([still, wrist, *jaws], 3)


def _posture(
    kind: Kind, joints: np.ndarray, scale: float, bend: float, opening: float
) -> ToolPosture:
    """Where the ends of the jaws are, with (4, 4, 4) joints in the tool frame."""
    jaws = [joint for joint in (ON_JAW, ON_OTHER_JAW) if any(s.joint == joint for s in kind.solids)]
    ends = []
    for joint in jaws or [ON_WRIST]:
        end = max((s.end for s in kind.solids if s.joint == joint), key=lambda point: point[2])
        ends.append((joints[joint] @ [*(1e-3 * scale * np.array(end)), 1.0])[:3])
    return ToolPosture(
        tip=np.mean(ends, axis=0),
        axis=joints[ON_WRIST][:3, 2],
        opening=2 * opening if kind.opens and len(jaws) == 2 else float("nan"),
        bends=kind.bends,
    )
