"""The simulator's geometry, piece by piece, against slower or closed answers."""

import math

import pytest
import torch

from endosfm3d_ros.datasets.simulation import tiles
from endosfm3d_ros.datasets.simulation.anatomy.deformation import EXACT, Cut, Deformation
from endosfm3d_ros.datasets.simulation.anatomy.organs import random_relief
from endosfm3d_ros.datasets.simulation.anatomy.ranges import FLAT, Anatomy
from endosfm3d_ros.datasets.simulation.camera.random_views import random_cameras, random_deformation
from endosfm3d_ros.datasets.simulation.dice import Dice
from endosfm3d_ros.datasets.simulation.instruments.assemblies import KINDS, Tools
from endosfm3d_ros.datasets.simulation.instruments.mesh import tool_mesh
from endosfm3d_ros.datasets.simulation.instruments.solids import meet_boxes, meet_rods
from endosfm3d_ros.datasets.simulation.rendering.casting import cast


def rays(count, generator):
    """Origins on a sphere of 40 mm, directions through the middle's neighbourhood."""
    origin = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=1)
    target = 0.003 * torch.randn(count, 3, generator=generator) + torch.tensor([0, 0, 0.006])
    return 0.04 * origin, target - 0.04 * origin


@pytest.mark.parametrize("flat", [1.0, 0.4])
@pytest.mark.parametrize("last", [0.004, 0.001])
def test_rays_meet_rods_on_their_surface_first(flat, last):
    """Points are on the skin, and no earlier sample of the ray is inside."""
    first, length = 0.004, 0.015
    origin, direction = rays(400, torch.Generator().manual_seed(1))
    size = torch.tensor([first, last, length, flat]).expand(400, -1)
    hits = meet_rods(origin[:, None], direction[:, None], size)

    def inside(points, slack):
        x, y, z = points.unbind(-1)
        radius = first + (last - first) * z / length + slack
        return (
            (x.square() + (y / flat).square() < radius.square())
            & (z > -slack)
            & (z < length + slack)
        )

    met = hits.depth[:, 0].isfinite()
    assert 0.2 < met.float().mean() < 0.99
    at = origin + hits.depth * direction
    assert inside(at, 1e-6)[met].all() and not inside(at, -1e-6)[met].any()
    steps = torch.linspace(0, 2, 2000)[:, None, None]
    entered = inside(origin + steps * direction, -1e-5)
    first_sample = torch.where(entered.any(0), entered.float().argmax(0) * 2 / 1999, torch.inf)
    assert (first_sample[met] >= hits.depth[met, 0] - 1e-4).all()
    assert not entered.any(0)[~met].any()


def test_rays_meet_boxes_on_the_side_that_the_normal_names():
    origin, direction = rays(400, torch.Generator().manual_seed(2))
    size = torch.tensor([0.003, 0.005, 0.012, 1.0]).expand(400, -1)
    hits = meet_boxes(origin[:, None], direction[:, None], size)
    met = hits.depth[:, 0].isfinite()
    at = (origin + hits.depth * direction - torch.tensor([0, 0, 0.006]))[met]
    share = at / torch.tensor([0.003, 0.005, 0.006])
    torch.testing.assert_close(share.abs().amax(1), torch.ones(len(at)), atol=1e-4, rtol=0)
    normal = hits.normal[met, 0]
    torch.testing.assert_close((share * normal).sum(1), torch.ones(len(at)), atol=1e-4, rtol=0)
    assert ((normal * direction[met]).sum(1) < 0).all()


def test_tiles_hold_every_pixel_within_reach():
    generator = torch.Generator().manual_seed(3)
    canvas = tiles.Canvas(2, 60, 77)
    start, end = (80 * torch.rand(2, 5, 2, generator=generator) for _ in range(2))
    radii = 12 * torch.rand(2, 5, 2, generator=generator)
    valid = torch.tensor([[True] * 5, [True] * 4 + [False]])
    found = tiles.touched(canvas, start, end, radii, valid)
    pairs = {(int(i), int(k)) for i, k in zip(found.image, found.shape)}
    assert (1, 4) not in pairs
    rows, columns = torch.meshgrid(torch.arange(60.0), torch.arange(77.0), indexing="ij")
    for image, shape in [(i, k) for i in range(2) for k in range(5) if valid[i, k]]:
        along = end[image, shape] - start[image, shape]
        offset = torch.stack([columns, rows], -1) - start[image, shape]
        share = ((offset @ along) / along.square().sum()).clamp(0, 1)
        away = (offset - share[..., None] * along).norm(dim=-1)
        reach = torch.lerp(*(radii[image, shape, end] for end in (0, 1)), share)
        mine = (found.image == image) & (found.shape == shape)
        covered = torch.zeros(canvas.pixels, dtype=torch.bool)
        covered[found.pixel[mine].flatten()] = True
        assert canvas.crop(covered)[image][away < reach].all()


def bumps(cut=None):
    return Deformation(
        centre=torch.tensor([[[0.0, 0.0, 0.05], [0.01, 0.0, 0.05]]]),
        vector=torch.tensor([[[0.002, 0.001, -0.005], [0.0, 0.002, 0.001]]]),
        radius=torch.tensor([[0.015, 0.01]]),
        activation=torch.ones(1, 1, 2),
        cut=cut,
    )


def wound():
    return Cut(
        centre=torch.tensor([[0.0, 0.0, 0.05]]), across=torch.tensor([[1.0, 0.0, 0.0]]),
        along=torch.tensor([[0.0, 1.0, 0.0]]), length=torch.tensor([0.01]),
        depth=torch.tensor([0.004]), fading=torch.tensor([0.008]), width=torch.tensor([[0.002]]),
    )  # fmt: skip


@pytest.mark.parametrize("cut", [None, wound()])
def test_moving_and_undoing_are_inverse(cut):
    deformation = bumps(cut)
    generator = torch.Generator().manual_seed(4)
    rest = tuple(
        (0.02 * torch.randn(1, 1, 30, 40, generator=generator) + middle) for middle in (0, 0, 0.05)
    )
    back = deformation.undo(deformation.apply(rest), deformation.iterations)
    limit = 5 * EXACT if cut is None else 2e-6
    for plane, other in zip(back, rest):
        assert (plane - other).abs().max() < limit


def test_normals_turn_with_the_tissue():
    """A flat patch, moved by one bump, against finite differences of the moved patch."""
    one = bumps()
    one = Deformation(
        one.centre[:, :1], one.vector[:, :1], one.radius[:, :1], one.activation[..., :1]
    )
    y, x = torch.meshgrid(
        *[torch.linspace(-0.02, 0.02, 201, dtype=torch.float64)] * 2, indexing="ij"
    )
    rest = tuple(p[None, None] for p in (x, y, torch.full_like(x, 0.05)))
    moved = torch.stack(one.apply(rest), -1)[0, 0]
    across, down = (torch.gradient(moved, dim=d)[0] for d in (1, 0))
    expected = torch.nn.functional.normalize(torch.linalg.cross(down, across), dim=-1)
    flat = tuple(torch.full_like(p, v) for p, v in zip(rest, (0.0, 0.0, -1.0)))
    found = torch.nn.functional.normalize(torch.stack(one.turned(rest, flat), -1)[0, 0], dim=-1)
    assert (found - expected)[2:-2, 2:-2].abs().max() < 2e-3


def test_rays_end_on_the_moved_tissue():
    dice = Dice(3)
    distance = dice.log_uniform(0.03, 0.2, 4)
    cameras, half = random_cameras(dice, distance, 2, 48, 64)
    extent = 1.4 * torch.stack([half, 0.75 * half], 1)
    relief = random_relief(dice, Anatomy(), distance, extent, 72, 96)
    deformation = random_deformation(dice, relief, distance, 2)
    hits = cast(relief, deformation, cameras)
    x, y, z = hits.rest
    rho = relief.lookup(relief.inverse_depth, x / z, y / z)[:, 0]
    miss = (z * rho - 1).abs()
    assert miss.flatten().quantile(0.99) < 1e-3 and miss.median() < 1e-6
    rays_ = cameras.to_world(cameras.rays())
    for i, plane in enumerate(deformation.apply(hits.rest)):
        seen = cameras.poses[:, :, i, 3, None, None] + rays_[i] * hits.depth
        assert (plane - seen).abs().max() < 1e-6


def test_flat_anatomy_is_flat():
    relief = random_relief(Dice(9), FLAT, torch.tensor([0.08]), torch.tensor([[0.5, 0.4]]), 40, 48)
    torch.testing.assert_close(relief.inverse_depth, torch.full((1, 1, 40, 48), 12.5))
    torch.testing.assert_close(relief.open, torch.ones(1, 1, 40, 48))


@pytest.mark.parametrize("kind", range(len(KINDS)), ids=[kind.name for kind in KINDS])
def test_every_instrument_has_a_mesh_of_its_size(kind):
    tools = Tools(
        kind=torch.tensor([[kind]]), poses=torch.eye(4)[None, None, None],
        bend=torch.zeros(1, 1, 1), opening=torch.full((1, 1, 1), 0.2), scale=torch.ones(1, 1),
    )  # fmt: skip
    mesh = tool_mesh(tools, 0)
    shaft = mesh.vertices[mesh.vertices[:, 2] < -0.02]
    assert 0.0049 < 2 * math.hypot(*shaft[0, :2]) < 0.0121  # 5, 8 or 12 mm
    assert -0.12 < mesh.vertices[:, 2].min() < -0.05 and 0 <= mesh.vertices[:, 2].max() < 0.06
