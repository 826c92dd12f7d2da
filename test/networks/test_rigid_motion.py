"""Least squares from a flow field to camera motion and focal length."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from endosfm3d_ros.networks.camera_motion import rotation_matrix
from endosfm3d_ros.networks.pose_student import PoseStudent, cell_places
from endosfm3d_ros.networks.rigid_motion import (
    SHAPES,
    UNKNOWNS,
    Field,
    Lens,
    RigidMotionConfig,
    Solution,
    linearised,
    moved,
    shapes,
    solve_rigid_motion,
)

HEIGHT, WIDTH = 128, 160
FOCAL = 140.0
CENTRE = torch.tensor([[83.0, 61.0]])
TURN = torch.tensor([[0.03, -0.05, 0.08]])  # 5.7 degrees
SLIDE = torch.tensor([[0.05, -0.03, 0.06]])  # shares of the depth


@pytest.fixture
def field():
    """What a hilly scene shows of that motion, without error."""
    places = cell_places(HEIGHT // 4, WIDTH // 4)
    x, y = places.unbind(1)
    rho = 1 + 0.25 * torch.sin(x / 23) * torch.cos(y / 17) + 0.002 * (x - 80)
    rays = torch.cat([(places - CENTRE) / FOCAL, torch.ones(len(places), 1)], dim=1)
    points = rays @ rotation_matrix(TURN)[0].T + rho[:, None] * SLIDE
    flow = FOCAL * points[:, :2] / points[:, 2:] + CENTRE - places
    spread = torch.full((1, len(places)), 0.3)
    return Field(places[None], flow[None], spread, rho[None].log(), torch.full_like(spread, 0.02))


def lens(off=0.0, sigma=0.3):
    log_focal = torch.tensor([math.log(FOCAL) + off])
    return Lens(log_focal, torch.full((1,), sigma), CENTRE)


def solve(field, lens):
    return solve_rigid_motion(field, lens, torch.tensor([10.0]), RigidMotionConfig())


def degrees_off(solution):
    R = rotation_matrix(solution.axisangle) @ rotation_matrix(TURN).mT
    return math.degrees(float((R - torch.eye(3)).norm() / math.sqrt(2)))


def test_an_exact_field_gives_the_exact_motion(field):
    solution = solve(field, lens())
    assert degrees_off(solution) < 0.01
    torch.testing.assert_close(solution.translation, SLIDE, atol=2e-4, rtol=0)


def test_the_focal_length_is_read_from_the_motion_where_it_tells(field):
    solution = solve(field, lens(off=0.2))
    assert float(solution.log_focal) == pytest.approx(math.log(FOCAL), abs=0.01)
    assert degrees_off(solution) < 0.05


def test_without_motion_the_guess_of_the_focal_length_stays(field):
    still = field._replace(flow=torch.zeros_like(field.flow))
    solution = solve(still, lens(off=0.2))
    assert float(solution.log_focal) == pytest.approx(math.log(FOCAL) + 0.2, abs=1e-3)
    assert solution.translation.norm() < 1e-4


def test_tissue_that_moves_on_its_own_has_little_say(field):
    flow = field.flow.clone()
    flow[:, :200] += torch.tensor([6.0, -4.0])  # the upper sixth of the image
    solution = solve(field._replace(flow=flow), lens(sigma=0.02))
    assert degrees_off(solution) < 0.2  # plain least squares: 1.3
    assert F.cosine_similarity(solution.translation, SLIDE) > math.cos(math.radians(3))


def test_depth_errors_that_are_announced_hurt_less(field):
    wrong = 0.3 * torch.sin(field.places[..., 0] / 11)
    errors = []
    for announced in (0.02, 0.3):
        spread = torch.full_like(field.spread, announced)
        guessed = field._replace(
            log_inverse_depth=field.log_inverse_depth + wrong, depth_spread=spread
        )
        errors.append(degrees_off(solve(guessed, lens(sigma=0.02))))
    assert errors[1] < 0.7 * errors[0]


def test_depth_that_is_tilted_and_too_flat_is_put_right(field):
    x = (field.places[0, :, 0] - WIDTH / 2) / (WIDTH / 2)
    tilted = 0.7 * field.log_inverse_depth + 0.15 * x - 0.1 * x * x
    solution = solve(field._replace(log_inverse_depth=tilted), lens(sigma=0.02))
    assert degrees_off(solution) < 0.15  # 1.0 if depth is believed
    assert solution.shape[0, 0] < -0.1 and solution.shape[0, 5] > 0.3


def test_the_jacobian_is_that_of_the_projection(field):
    field = Field(*(x.double() for x in field))
    guess = Lens(*(x.double() for x in lens(off=0.05)))
    shape = torch.full((1, SHAPES), 0.1, dtype=torch.float64)
    state = Solution(0.2 * TURN.double(), SLIDE.double(), guess.log_focal, shape)
    forms, config = shapes(field), RigidMotionConfig()
    residual, jacobian, _ = linearised(field, forms, guess, state, config)
    for k in range(UNKNOWNS):
        step = torch.zeros(1, UNKNOWNS, dtype=torch.float64)
        step[0, k] = 1e-6
        there = linearised(field, forms, guess, moved(state, step), config)[0]
        slope = (residual - there) / 1e-6
        torch.testing.assert_close(jacobian[..., k], slope, atol=0.02, rtol=1e-3)


def test_gradients_pass_through_the_equations(field):
    flow = field.flow.clone().requires_grad_()
    solution = solve(field._replace(flow=flow), lens())
    (solution.axisangle.sum() + solution.translation.sum() + solution.log_focal.sum()).backward()
    assert flow.grad.isfinite().all() and flow.grad.abs().sum() > 0


def test_the_student_has_the_outputs_of_the_pose_network():
    network = PoseStudent(size=(64, 96)).eval()
    assert sum(p.numel() for p in network.parameters()) < 3e6
    with torch.inference_mode():
        belief = torch.tensor([0.0, 0.25, 0.5, 0.5, 1.2]).expand(2, 5)
        axisangle, translation, q = network(torch.rand(2, 6, 64, 96), belief)
    assert (axisangle.shape, translation.shape, q.shape) == ((2, 3), (2, 3), (2, 4))
    assert all(x.isfinite().all() for x in (axisangle, translation, q))
    torch.testing.assert_close((q[:, 0] + 0.5) * 96 * 1.2, (q[:, 1] + 0.5) * 64)  # fy / fx
