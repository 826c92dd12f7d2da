"""What organs and instruments are made of: colours, patterns, gloss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from endosfm3d_ros.datasets.simulation.anatomy.deformation import Vector
from endosfm3d_ros.datasets.simulation.anatomy.noise import pattern_bank
from endosfm3d_ros.datasets.simulation.camera.views import Cameras
from endosfm3d_ros.datasets.simulation.dice import Dice
from endosfm3d_ros.datasets.simulation.instruments.casting import ToolHits
from endosfm3d_ros.datasets.simulation.rendering.casting import Hits

TEXEL = 9e-5  # metres of a pattern's texel at scale one

Color = tuple[float, float, float]

# Linear (not gamma-coded) reflectances, tuned by eye beside pictures of abdomen and sinus.
TISSUES = (
    (0.55, 0.19, 0.18),  # mucosa
    (0.64, 0.33, 0.29),  # peritoneum
    (0.48, 0.13, 0.13),  # bowel
    (0.16, 0.040, 0.033),  # liver
    (0.075, 0.016, 0.024),  # spleen
    (0.74, 0.42, 0.14),  # fat
    (0.76, 0.63, 0.54),  # ligament
    (0.36, 0.075, 0.065),  # muscle
    (0.62, 0.28, 0.09),  # fat under a thin sheet
    (0.33, 0.27, 0.15),  # gall bladder
    (0.50, 0.20, 0.27),  # congested serosa
)
# Liver and spleen more often than in the body: else networks learn that dark is far.
WEIGHTS = (5.0, 5.0, 4.0, 3.0, 2.5, 1.5, 1.0, 2.0, 1.5, 0.2, 3.0)
BLOOD = (0.20, 0.010, 0.010)
WOUND = (0.38, 0.035, 0.03)  # walls of a cut
VESSEL_ABSORPTION = (0.58, 0.90, 0.84)
PLASTICS = (
    (0.28, 0.35, 0.45), (0.02, 0.02, 0.022), (0.09, 0.09, 0.095), (0.16, 0.16, 0.15),
    (0.35, 0.35, 0.35), (0.55, 0.56, 0.58), (0.22, 0.23, 0.25),
)  # fmt: skip

ROWS = (
    "red", "green", "blue", "red_2", "green_2", "blue_2", "patches", "mottle", "grain",
    "capillaries", "vessels", "lobules", "gloss", "sharpness", "tilt", "cosine", "sine", "scale",
    "shift_u", "shift_v", "blood", "mirror",
)  # fmt: skip


@dataclass(frozen=True)
class Materials:
    """One column of `ROWS` per organ, then one per tool material."""

    table: Tensor  # (N, ROWS, organs + 3)
    organs: int

    def scaled(self, name: str, factor: float) -> Materials:
        """The same materials with one property multiplied."""
        table = self.table.clone()
        table[:, ROWS.index(name)] *= factor
        return Materials(table, self.organs)

    def with_tools(self, colors: tuple[Color, Color, Color]) -> Materials:
        """The same materials with other colours of shafts, polished and dull metal."""
        table = self.table.clone()
        painted = torch.tensor(colors, device=table.device).T
        table[:, 0:3, self.organs :] = painted
        table[:, 3:6, self.organs :] = 0.8 * painted
        return Materials(table, self.organs)

    def at(self, index: Tensor) -> dict[str, Tensor]:
        """Every property at (N, T, H, W) material indices."""
        flat = index.flatten(1)[:, None].expand(-1, len(ROWS), -1)
        planes = self.table.gather(2, flat).reshape(len(index), len(ROWS), *index.shape[1:])
        return dict(zip(ROWS, planes.unbind(1)))


@dataclass(frozen=True)
class Surface:
    """What the light meets; planes of (N, T, H, W)."""

    color: Vector  # linear reflectance
    tilt_x: Tensor  # fine slopes of the wet film
    tilt_y: Tensor
    gloss: Tensor
    sharpness: Tensor
    mirror: Tensor  # share of the surroundings that metal reflects


def random_materials(dice: Dice, view: Tensor, organs: int) -> Materials:
    """Tissue colours that share a palette within a scene, and shiny or dark instruments.

    Args:
        dice: source of all choices.
        view: (N) metres of tissue across half the picture; patterns grow with it, less than evenly.
        organs: how many there are; the last is the wall of a cut.
    """
    table = torch.cat([_tissues(dice, view, organs), _metals(dice, len(view))], 2)
    return Materials(table, organs)


def _tissues(dice: Dice, view: Tensor, organs: int) -> Tensor:
    count = len(view)
    shape = (count, organs)
    palette = torch.tensor(TISSUES, device=dice.device)
    usual = dice.pick(WEIGHTS, count, 1).expand(shape)
    own = torch.where(dice.chance(0.45, *shape), usual, dice.pick(WEIGHTS, *shape))
    brightness = dice.log_uniform(0.5, 1.5, *shape, 1) * dice.log_uniform(0.8, 1.25, count, 1, 1)
    base = palette[own] * brightness * dice.log_uniform(0.85, 1.18, *shape, 3)
    second = palette[dice.pick(WEIGHTS, *shape)]
    second = base.lerp(second, dice.uniform(0.2, 0.8, *shape, 1)) * dice.log_uniform(
        0.6, 1.3, *shape, 1
    )
    base[:, -1] = torch.tensor(WOUND, device=dice.device)
    second[:, -1] = torch.tensor(BLOOD, device=dice.device)
    turn = dice.uniform(0, 6.2832, *shape)
    wet = dice.log_uniform(0.15, 1.6, count, 1)
    rows = {
        "patches": dice.uniform(0, 1, *shape),
        "mottle": dice.uniform(0.02, 0.16, *shape),
        "grain": dice.uniform(0.01, 0.12, *shape),
        "capillaries": dice.uniform(0, 0.8, *shape) * dice.uniform(0, 1, count, 1),
        "vessels": dice.uniform(0, 1, *shape),
        "lobules": dice.uniform(0, 0.13, *shape) * dice.chance(0.4, *shape),
        "gloss": wet * dice.log_uniform(0.4, 2.5, *shape),
        "sharpness": dice.log_uniform(30, 500, *shape),
        "tilt": dice.log_uniform(0.02, 0.30, *shape),
        "cosine": turn.cos(),
        "sine": turn.sin(),
        "scale": (view[:, None] / 0.02).pow(0.8) * dice.log_uniform(0.5, 2.0, *shape),
        "shift_u": dice.uniform(0, 1024, *shape),
        "shift_v": dice.uniform(0, 1024, *shape),
        "blood": torch.where(dice.chance(0.15, count, 1), dice.uniform(0.8, 2.4, *shape), 9.0),
        "mirror": torch.zeros(shape, device=dice.device),
    }
    return torch.cat([base.mT, second.mT, torch.stack(list(rows.values()), 1)], 1).clamp(max=1e4)


def _metals(dice: Dice, count: int) -> Tensor:
    """Shaft, polished and dull metal."""
    plastic = torch.tensor(PLASTICS, device=dice.device)[
        dice.pick((1.0,) * len(PLASTICS), count, 1)
    ]
    tint = dice.log_uniform(0.93, 1.07, count, 2, 3)
    grey = torch.stack([dice.uniform(0.06, 0.30, count, 1), dice.uniform(0.03, 0.20, count, 1)], 1)
    base = torch.cat([plastic * dice.log_uniform(0.3, 1.2, count, 1, 1), grey * tint], 1)
    shape = (count, 3)
    rows = {
        "patches": dice.uniform(0.0, 0.4, *shape),
        "mottle": dice.uniform(0.01, 0.08, *shape),
        "grain": dice.uniform(0.02, 0.14, *shape),
        "capillaries": dice.uniform(0, 0.15, *shape),
        "vessels": dice.uniform(0, 0.08, *shape),
        "lobules": torch.zeros(shape, device=dice.device),
        "gloss": dice.log_uniform(0.3, 2.5, *shape)
        * torch.tensor([0.15, 0.6, 0.3], device=dice.device),
        "sharpness": dice.log_uniform(15, 150, *shape),
        "tilt": dice.log_uniform(0.02, 0.25, *shape),
        "cosine": torch.ones(shape, device=dice.device),
        "sine": torch.zeros(shape, device=dice.device),
        "scale": dice.log_uniform(0.5, 1.6, *shape),
        "shift_u": dice.uniform(0, 1024, *shape),
        "shift_v": dice.uniform(0, 1024, *shape),
        "blood": torch.where(dice.chance(0.15, *shape), dice.uniform(1.4, 2.4, *shape), 9.0),
        "mirror": dice.uniform(0, 0.25, *shape)
        * torch.tensor([0.15, 1.0, 0.5], device=dice.device),
    }
    second = base * dice.log_uniform(0.6, 1.1, count, 3, 1)
    return torch.cat([base.mT, second.mT, torch.stack(list(rows.values()), 1)], 1)


def surface(
    materials: Materials, organ: Tensor, hits: Hits, tools: ToolHits | None, cameras: Cameras
) -> Surface:
    """The patterns where the rays meet tissue or tools.

    Args:
        materials: of N scenes.
        organ: (N, T, H, W) long index of the organ under each pixel.
        hits: the tissue.
        tools: the instruments, or None.
        cameras: whose pixels these are.
    """
    x, y, z = hits.rest
    u, v, depth, index = x + 0.4 * z, y - 0.3 * z, hits.depth, organ
    if tools is not None:
        metal = tools.label > 0
        index = torch.where(metal, materials.organs + tools.material, organ)
        u, v = torch.where(metal, tools.along, u), torch.where(metal, tools.around, v)
        depth = torch.where(metal, tools.depth, depth)
    made = materials.at(index)
    texel = made["scale"] * TEXEL
    u, v = u / texel, v / texel
    across = made["cosine"] * u - made["sine"] * v + made["shift_u"]
    down = made["sine"] * u + made["cosine"] * v + made["shift_v"]
    focal = cameras.intrinsics[:, :, 0, 0, None, None]
    level = (1.2 * depth / (focal * texel)).log2_()
    bank = pattern_bank(str(depth.device))
    planes = bank.sample(*(plane.flatten(1, 2) for plane in (across, down, level)))
    return _colored(made, planes.reshape(len(depth), 8, *depth.shape[1:]).unbind(1))


def _colored(made: dict[str, Tensor], pattern: tuple[Tensor, ...]) -> Surface:
    """Mix the patterns by each material's amounts."""
    patches, mottle, grain, capillaries, vessels, lobules, slope_x, slope_y = pattern
    share = made["patches"] * (0.5 + 0.4 * patches).clamp_(0, 1)
    value = 1 + made["mottle"] * mottle + made["grain"] * grain + made["lobules"] * lobules
    value = value.clamp_(min=0.2)
    absorbed = (made["capillaries"] * capillaries + made["vessels"] * vessels).clamp_(0, 1)
    bloody = (1.6 * (mottle * 0.35 + patches - made["blood"])).clamp_(0, 1)
    color = []
    for name, absorption, blood in zip(("red", "green", "blue"), VESSEL_ABSORPTION, BLOOD):
        plane = torch.lerp(made[name], made[name + "_2"], share)
        plane = plane * value * (1 - absorption * absorbed)
        color.append(torch.lerp(plane, torch.full_like(plane, blood), bloody).clamp_(0, 0.95))
    return Surface(
        tuple(color),
        made["tilt"] * slope_x,
        made["tilt"] * slope_y,
        made["gloss"] * (1 + bloody),
        made["sharpness"],
        made["mirror"],
    )
