"""A named scene as tensors: built once from its seed, posed at any time."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from endosfm3d_ros.datasets.simulation.anatomy.deformation import Cut, Deformation
from endosfm3d_ros.datasets.simulation.anatomy.organs import MATERIALS, random_relief
from endosfm3d_ros.datasets.simulation.dice import Dice
from endosfm3d_ros.datasets.simulation.instruments.assemblies import KINDS, Tools
from endosfm3d_ros.datasets.simulation.rendering.appearance import Materials, random_materials
from endosfm3d_ros.datasets.simulation.rendering.lighting import Lamps
from endosfm3d_ros.datasets.simulation.rendering.render import Scenes
from endosfm3d_ros.datasets.simulation.scenes import Incision, Instrument, Scene
from endosfm3d_ros.geometry import se3

MAP = (1024, 1280)  # texels of the relief, whatever the picture's size
EXTENT = (1.05, 0.84)  # tangents: 1.8 times the view at rest, for a camera that moves
LAMP = (0.003, -0.002, 0.0)  # metres from the left eye
METALS = ((0.10, 0.125, 0.16), (0.17, 0.17, 0.18), (0.085, 0.085, 0.09))
NAMES = [kind.name for kind in KINDS]


class Stage:
    """Tissue, instruments and light of one scene.

    Args:
        scene: what to build.
        seed: of the tissue's shape and colours.
    """

    def __init__(self, scene: Scene, seed: int) -> None:
        dice = Dice(seed)
        self.scene = scene
        distance = torch.tensor([scene.distance])
        extent = torch.tensor([EXTENT])
        self.relief = random_relief(dice, scene.anatomy, distance, extent, *MAP)
        self._materials = self._made(random_materials(dice, 0.55 * distance, MATERIALS))

    def at(self, time: float, lamp: np.ndarray) -> Scenes:
        """The scene at a time in seconds, lit from `lamp` (3, metres, camera frame)."""
        return Scenes(
            relief=self.relief,
            deformation=self.deformation(time),
            materials=self._materials,
            tools=self.tools(time),
            lamps=Lamps(
                position=_row(lamp)[None],
                power=torch.ones(1, 1),
                beam=torch.tensor([1.5]),
                ambient=torch.tensor([0.03]),
                crease=torch.tensor([0.7]),
            ),
            shadow=torch.tensor([0.5]),
        )

    def deformation(self, time: float) -> Deformation:
        """Where the tissue is at a time in seconds."""
        swells = self.scene.swells
        centre = [self.point(*swell.place) for swell in swells]
        return Deformation(
            centre=_row(np.reshape(centre, (-1, 3))),
            vector=_row(np.reshape([swell.vector for swell in swells], (-1, 3))),
            radius=_row([swell.radius for swell in swells]),
            activation=_row([swell.activation(time) for swell in swells])[None],
            cut=self._cut(self.scene.incision, time) if self.scene.incision else None,
        )

    def tools(self, time: float) -> Tools:
        """Where the instruments are at a time in seconds."""
        plans = self.scene.instruments
        poses = np.reshape([self._pose(plan, time) for plan in plans], (-1, 4, 4))
        return Tools(
            kind=torch.tensor([[NAMES.index(plan.kind) for plan in plans]], dtype=torch.long),
            poses=_row(poses)[None],
            bend=_row([plan.bend for plan in plans])[None],
            opening=_row([plan.opening for plan in plans])[None],
            scale=torch.ones(1, len(plans)),
        )

    def point(self, a: float, b: float) -> np.ndarray:
        """(3) metres: the tissue at rest in a direction given by tangents."""
        plane = (torch.full((1, 1, 1, 1), value) for value in (a, b))
        z = 1 / float(self.relief.lookup(self.relief.inverse_depth, *plane))
        return np.array([a * z, b * z, z])

    def _made(self, materials: Materials) -> Materials:
        """With the scene's wetness, and without blood unless it is wanted."""
        materials = materials.scaled("gloss", self.scene.wetness).with_tools(METALS)
        return materials if self.scene.blood else materials.scaled("blood", 10.0)

    def _cut(self, plan: Incision, time: float) -> Cut:
        centre = self.point(*plan.place)
        normal = self._normal(plan.place)
        along = np.array([np.cos(plan.angle), np.sin(plan.angle), 0.0])
        along -= normal * (along @ normal)
        along /= np.linalg.norm(along)
        return Cut(
            centre=_row(centre),
            across=_row(np.cross(normal, along)),
            along=_row(along),
            length=_row(plan.length),
            depth=_row(plan.depth * plan.opening(time) / plan.width),
            fading=_row(plan.fading),
            width=_row([plan.opening(time)]),
        )

    def _normal(self, place: tuple[float, float]) -> np.ndarray:
        plane = (torch.full((1, 1, 1, 1), value) for value in place)
        return self.relief.lookup(self.relief.normals, *plane).flatten().double().numpy()

    def _before(self, plan: Instrument) -> np.ndarray:
        """(3) metres: the place, before the nearest tissue around it."""
        near = torch.linspace(-plan.around, plan.around, 15)
        a, b = (value + near for value in plan.place)
        grid = (plane[None, None] for plane in torch.meshgrid(a, b, indexing="xy"))
        depth = 1 / float(self.relief.lookup(self.relief.inverse_depth, *grid).max())
        ray = np.array([*plan.place, 1.0])
        return ray * (depth - plan.gap)

    def _pose(self, plan: Instrument, time: float) -> np.ndarray:
        """4x4 tool in world."""
        z = np.array(plan.heading) / np.linalg.norm(plan.heading)
        x = np.cross((0.0, 1.0, 0.0), z)
        x /= np.linalg.norm(x)
        R = np.column_stack([x, np.cross(z, x), z])
        tip = self._before(plan)
        base = se3.from_rotation(R, tip - plan.reach * z) @ se3.from_vectors(
            (0, 0, plan.roll), np.zeros(3)
        )
        pose = base @ plan.path.at(time)
        if plan.follows:
            swell = self.scene.swells[0]
            pose[:3, 3] += swell.activation(time) * np.array(swell.vector)
        return pose


def _row(values: np.ndarray | list | float) -> Tensor:
    """(1, ...) float32."""
    return torch.as_tensor(np.asarray(values), dtype=torch.float32)[None]
