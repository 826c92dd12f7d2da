"""A jointed model: meshes of its links, and the rigid model that it is at given joint angles."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.tools.articulated.family import (
    JAW,
    OTHER_JAW,
    REFERENCE,
    SHAFT,
    WRIST,
    Kind,
    mirrored,
)
from endosfm3d_ros.tools.articulated.linkage import Linkage
from endosfm3d_ros.tools.articulated.solids import Solid
from endosfm3d_ros.tools.types import ToolModel

SOURCE = "articulated"
STEEL = (150, 150, 155)  # RGB, where no image has shown it
BEND, YAW = 1.5, 1.4  # rad, limits of wrist and jaws
LAST = 0.01  # m of a shaft without jaws that are its working end
ENOUGH = 200  # points of a working end
LINKS = (SHAFT, WRIST, JAW, OTHER_JAW)


@dataclass(frozen=True)
class JointedModel(ToolModel):
    """A model at rest whose vertices belong to links; `at` gives what it is at joint angles."""

    linkage: Linkage | None = None
    owners: np.ndarray = field(default_factory=lambda: np.empty(0, np.intp))  # (V,) their links
    tips: tuple[tuple[int, np.ndarray], ...] = ()  # link and (3,) point of each working end
    thick: float | None = None  # m along the jaw, beyond which it is too thin to be segmented
    birth_joints: np.ndarray = field(default_factory=lambda: np.zeros(3))  # rad, with `birth`
    maybe: np.ndarray = field(default_factory=lambda: np.empty((0, 3)))  # (M, 3) m, first jaw's
    # link: where the instrument would reach if it were another kind that fits nearly as well
    diameter: float = 0.008  # m, of the shaft
    half_turn: bool = True  # looks the same after half a turn with all joints reversed

    @cached_property
    def surface_links(self) -> np.ndarray:
        """(S,) link of each surface point."""
        face = self.surface.faces
        return self.owners[self.faces[face, 0]]

    @cached_property
    def end_points(self) -> np.ndarray:
        """(E,) surface points of the jaws, or of the last of a shaft without."""
        rows = np.nonzero(self.surface_links >= JAW)[0]
        if not len(rows):
            rows = np.nonzero(self.surface.points[:, 2] > -LAST)[0]
        return rows[:ENOUGH]

    def moved(self, points: np.ndarray, links: np.ndarray, joints: np.ndarray) -> np.ndarray:
        """(N, 3) points of links at rest, at joint angles, tool frame."""
        turns, moves = self.linkage.links(joints)
        moved = np.empty_like(points)
        for link in LINKS:
            own = links == link
            moved[own] = points[own] @ turns[link].T.astype(points.dtype) + moves[link]
        return moved

    def at(self, joints: np.ndarray) -> ToolModel:
        """The rigid model of one moment, with the surface points of this one."""
        turns, moves = self.linkage.links(joints)
        normals = np.einsum("nij,nj->ni", turns[self.surface_links], self.surface.normals)
        points = self.moved(self.surface.points, self.surface_links, joints)
        surface = replace(self.surface, points=points, normals=normals.astype(np.float32))
        model = ToolModel(
            self.moved(self.vertices, self.owners, joints),
            self.faces,
            self.colors,
            SOURCE,
            True,
            end=points[self.end_points],
            possible=self.reached(joints),
            tip=self.tip_at(joints),
            kind=self.kind,
            links=tuple(
                (part, se3.from_rotation(turns[link], moves[link]))
                for link, part in self.parts.items()
            ),
        )
        model.__dict__["surface"] = surface  # instead of sampling anew
        return model

    @cached_property
    def parts(self) -> dict[int, ToolModel]:
        """Each link that there is as a rigid model, in its own frame."""
        owner = self.owners[self.faces[:, 0]]
        made = {}
        for link in np.unique(owner):
            used, faces = np.unique(self.faces[owner == link], return_inverse=True)
            faces = faces.reshape(-1, 3).astype(np.int32)
            shape = self.vertices[used], faces, self.colors[used]
            made[int(link)] = ToolModel(*shape, SOURCE, True)
        return made

    def reached(self, joints: np.ndarray) -> np.ndarray:
        """(M, 3) points that it may reach, tool frame, m."""
        turns, moves = self.linkage.links(joints)
        return self.maybe @ turns[JAW].T + moves[JAW]

    def tip_at(self, joints: np.ndarray) -> np.ndarray:
        """(3,) middle of the working ends at joint angles, tool frame, m."""
        turns, moves = self.linkage.links(joints)
        return np.mean([turns[link] @ point + moves[link] for link, point in self.tips], axis=0)


def jointed_model(
    kind: Kind,
    diameter: float,
    stretch: float = 1.0,
    color: tuple[float, ...] = STEEL,
) -> JointedModel:
    """The model of a kind.

    Args:
        kind: of the family.
        diameter: of the shaft, m.
        stretch: of the jaws, beyond what the diameter asks for.
        color: RGB.
    """
    size = diameter / REFERENCE
    solids: dict[int, tuple[Solid, ...]] = {SHAFT: kind.shaft, WRIST: kind.wrist}
    if kind.jaws:
        solids[JAW] = kind.jaw
    if kind.jaws == 2:
        solids[OTHER_JAW] = mirrored(kind.jaw)
    vertices, faces, links, count = [], [], [], 0
    for link, parts in solids.items():
        longer = np.array([1.0, 1.0, stretch if link >= JAW else 1.0])
        for part in parts:
            points, triangles = part.mesh()
            vertices.append(points * longer * size)
            faces.append(triangles + count)
            links.append(np.full(len(points), link))
            count += len(points)
    vertices = np.concatenate(vertices)
    paint = np.full(vertices.shape, color, np.uint8)
    return JointedModel(
        vertices.astype(np.float32),
        np.concatenate(faces).astype(np.int32),
        paint,
        SOURCE,
        True,
        kind=kind.name,
        linkage=_linkage(kind, size),
        owners=np.concatenate(links),
        tips=_tips(kind, size, stretch),
        diameter=diameter,
        half_turn=kind.half_turn,
        thick=None if kind.thick is None else kind.thick * size * stretch,
    )


def _linkage(kind: Kind, size: float) -> Linkage:
    bend, yaw = BEND if kind.bends else 0.0, YAW if kind.jaws else 0.0
    lower = np.array([-bend, -yaw, -yaw if kind.jaws == 2 else 0.0])
    usual = np.array([0.0, 0.25, -0.25] if kind.jaws == 2 else [0.0, 0.0, 0.0])
    return Linkage(kind.hinge * size, lower, -lower, kind.jaws == 2, usual=usual)


def _tips(kind: Kind, size: float, stretch: float) -> tuple[tuple[int, np.ndarray], ...]:
    """The farthest end of each jaw, or the end of the shaft."""
    if not kind.jaws:
        return ((SHAFT, np.zeros(3)),)
    jaws = {JAW: kind.jaw} | ({OTHER_JAW: mirrored(kind.jaw)} if kind.jaws == 2 else {})
    tips = []
    for link, parts in jaws.items():
        end = max((part.end for part in parts), key=lambda point: point[2])
        tips.append((link, np.array(end) * (1.0, 1.0, stretch) * size))
    return tuple(tips)
