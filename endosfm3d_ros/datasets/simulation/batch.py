"""Random endoscopic pictures with their truth, in batches, for training."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from endosfm3d_ros.datasets.simulation.anatomy.deformation import Deformation
from endosfm3d_ros.datasets.simulation.anatomy.organs import MATERIALS, random_relief
from endosfm3d_ros.datasets.simulation.anatomy.ranges import Anatomy
from endosfm3d_ros.datasets.simulation.camera.random_views import random_cameras, random_deformation
from endosfm3d_ros.datasets.simulation.camera.sensor import automatic_gain, develop, random_look
from endosfm3d_ros.datasets.simulation.camera.views import Cameras
from endosfm3d_ros.datasets.simulation.dice import Dice
from endosfm3d_ros.datasets.simulation.instruments.random_tools import random_tools
from endosfm3d_ros.datasets.simulation.rendering.appearance import random_materials
from endosfm3d_ros.datasets.simulation.rendering.lighting import Lamps
from endosfm3d_ros.datasets.simulation.rendering.render import Scenes, View, render
from endosfm3d_ros.datasets.simulation.threads import one_thread

MARGIN = 1.12  # of the relief's map over the first picture
MOVING_MARGIN = 1.5  # where later pictures see more
FLOW_CELL = 4  # pixels


@dataclass(frozen=True)
class SimulatedBatch:
    """Pictures and what is true in them; metres, optical frames."""

    images: Tensor  # (N, T, 3, H, W) uint8 RGB
    depth: Tensor  # (N, T, H, W) float32, metres along z (instruments included)
    labels: Tensor  # (N, T, H, W) uint8 instance, 0 = tissue
    parts: Tensor  # (N, T, H, W) uint8 0 tissue, 1 shaft, 2 wrist, 3 jaws
    intrinsics: Tensor  # (N, 3, 3) float32 pixels
    poses: Tensor  # (N, T, 4, 4) float32 camera in world, metres
    flow: Tensor  # (N, T, 2, H / 4, W / 4) float32 pixels (x, y), see `tissue_flow`


@one_thread()
@torch.no_grad()
def random_batch(
    seed: int,
    count: int,
    frames: int,
    height: int,
    width: int,
    device: torch.device | str = "cpu",
) -> SimulatedBatch:
    """Domain-randomised scenes; the same arguments give the same batch.

    Args:
        seed: of everything.
        count: N scenes.
        frames: T consecutive pictures of each, from a moving camera over moving tissue and tools.
        height: pixels.
        width: pixels.
        device: where to compute; on a CPU one core is used.
    """
    dice = Dice(seed, device)
    distance = dice.log_uniform(0.03, 0.25, count)
    cameras, half = random_cameras(dice, distance, frames, height, width)
    margin = MARGIN if frames == 1 else MOVING_MARGIN
    extent = margin * torch.stack([half, half * height / width], 1)
    rows, columns = (8 * round(margin * side / 8) for side in (height, width))
    relief = random_relief(dice, Anatomy(), distance, extent, rows, columns)
    scenes = Scenes(
        relief=relief,
        deformation=random_deformation(dice, relief, distance, frames),
        materials=random_materials(dice, distance * half, MATERIALS),
        tools=random_tools(dice, relief, frames),
        lamps=_lamps(dice, distance),
        shadow=dice.uniform(0.1, 0.75, count),
    )
    view = render(scenes, cameras)
    look = random_look(dice, count)
    return SimulatedBatch(
        develop(view.light, look, automatic_gain(view.light, look.exposure), dice),
        view.depth,
        view.tools.label.byte(),
        view.tools.part.byte(),
        cameras.intrinsics[:, 0],
        cameras.poses,
        tissue_flow(view, scenes.deformation, cameras),
    )


def tissue_flow(view: View, deformation: Deformation, cameras: Cameras) -> Tensor:
    """Where the tissue, also that behind instruments, is in the following picture.

    Returns:
        (N, T, 2, H / 4, W / 4) displacement of the middle of every cell; from the last picture it
        leads to the first.
    """
    later = replace(deformation, activation=deformation.activation.roll(-1, dims=1))
    column, row, _ = cameras.next().project(later.apply(view.tissue.rest))
    x = column - torch.arange(cameras.width, device=column.device)
    y = row - torch.arange(cameras.height, device=row.device)[:, None]
    flow = torch.stack([x, y], 2)
    # the four pixels in the middle of each cell
    return avg_pool2d(flow[..., 1:, 1:].flatten(0, 1), 2, FLOW_CELL).unflatten(0, flow.shape[:2])


def _lamps(dice: Dice, distance: Tensor) -> Lamps:
    """One or two light guides at the tip of the endoscope."""
    count = len(distance)
    angle, away = dice.uniform(0, 6.2832, count, 2), dice.uniform(0, 0.008, count, 2)
    back = dice.uniform(-0.004, 0.004, count, 2)
    power = torch.stack([torch.ones(count, device=dice.device), dice.uniform(-1, 1, count)], 1)
    return Lamps(
        position=torch.stack([away * angle.cos(), away * angle.sin(), back], -1),
        power=power.clamp(min=0),
        beam=dice.uniform(0.5, 5.0, count),
        ambient=dice.log_uniform(0.01, 0.10, count),
        crease=dice.uniform(0.35, 1.0, count),
    )
