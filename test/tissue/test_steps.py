"""Every step on its own, against values that are known."""

from __future__ import annotations

import numpy as np
import pytest

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tissue.appearance import visibility
from endosfm3d_ros.tissue.appearance.rendering import Rendering, back_project, empty_view, render
from endosfm3d_ros.tissue.camera.odom_correction import faded
from endosfm3d_ros.tissue.camera.registration import RegistrationConfig, register
from endosfm3d_ros.tissue.camera.scale_alignment import AlignmentConfig, ScaleAlignment
from endosfm3d_ros.tissue.coverage import densification, fusion, maintenance
from endosfm3d_ros.tissue.coverage.density import DensityConfig, wanted_density
from endosfm3d_ros.tissue.coverage.growth import reinpaint
from endosfm3d_ros.tissue.coverage.inpainting import push_pull
from endosfm3d_ros.tissue.deformation.graph import DeformationGraph, GraphConfig
from endosfm3d_ros.tissue.deformation.model_flow import FlowConfig, ModelFlow
from endosfm3d_ros.tissue.deformation.solver import DeformationConfig, Samples, solve_deformation
from endosfm3d_ros.tissue.observation import (
    METRIC_NOISE,
    DepthNoise,
    ValidityConfig,
    discontinuities,
    observe,
)
from endosfm3d_ros.tissue.store.gaussians import GaussianStore
from endosfm3d_ros.tissue.store.snapshot import normals_towards

CAMERA = PinholeCamera(64, 48, 60.0, 60.0, 31.5, 23.5)


def carpet(step=1.5, z=0.05, sigma=0.62, capacity=4000) -> GaussianStore:
    """Flat Gaussians that fill the view of CAMERA at distance z."""
    u, v = (grid.ravel() for grid in np.meshgrid(np.arange(-1, 65, step), np.arange(-1, 49, step)))
    store = GaussianStore(capacity)
    size = np.full((len(u), 3), sigma * step * z / CAMERA.fx)
    size[:, 2] *= 0.2
    store.add(
        {
            "means": np.column_stack(
                [(u - 31.5) / 60 * z, (v - 23.5) / 60 * z, np.full(len(u), z)]
            ),
            "quats": np.tile([1, 0, 0, 0], (len(u), 1)),
            "scales": size,
            "opacities": np.full(len(u), 0.9),
            "colors": np.full((len(u), 3), 0.5),
            "weights": np.ones(len(u)),
        }
    )
    return store


def seen_by(camera=CAMERA, depth=0.05, rgb=0.5, sheets=None, tool=None, confidence=1.0):
    image = np.full((camera.height, camera.width, 3), round(255 * rgb), np.uint8)
    from endosfm3d_ros.types import DepthMap, ScaleSource

    plane = np.broadcast_to(np.float32(depth), image.shape[:2]).copy()
    worth = np.full(image.shape[:2], confidence, np.float32)
    given = DepthMap(plane, worth, camera, "test", ScaleSource.STEREO, 0)
    return observe(image, given, tool, camera, ValidityConfig())


def regular(spacing=2.0) -> DensityConfig:
    """The same spacing everywhere."""
    return DensityConfig(mean=spacing, spacings=(spacing,), default=0)


def graph_of(points, spacing=0.006, **options) -> DeformationGraph:
    graph = DeformationGraph(spacing, GraphConfig(**options))
    graph.bind(points)
    return graph


def plane_points(count=40, half=0.02, z=0.05):
    x, y = (g.ravel() for g in np.meshgrid(*[np.linspace(-half, half, count)] * 2))
    return np.column_stack([x, y, np.full(len(x), z)])


def test_slots_are_used_again_and_the_cap_holds():
    store = GaussianStore(10)
    rows = {"means": np.arange(18.0).reshape(6, 3), "opacities": np.ones(6)}
    first = store.add(rows)
    store.remove(first[[1, 4, 4]])
    assert store.count == 4 and store.alive.sum() == 4
    again = store.add(rows)
    assert set(first[[1, 4]]) <= set(again) and store.count == 10 and store.room == 0
    assert len(store.add(rows)) == 0
    np.testing.assert_array_equal(store.means[again[0]], rows["means"][0])


def test_tidying_keeps_everything_alive():
    store = GaussianStore(10)
    slots = store.add({"means": np.arange(24.0).reshape(8, 3), "opacities": np.ones(8)})
    store.remove(slots[::2])
    kept = store.means[slots[1::2]].copy()
    store.tidy()
    assert store.size == store.count == 4
    np.testing.assert_array_equal(store.view("means"), kept)


def test_an_opaque_surface_is_rendered_with_its_own_colour_and_depth():
    view = render(carpet(), CAMERA, np.eye(4))
    np.testing.assert_allclose(view.rgb, 0.5, atol=1e-3)
    np.testing.assert_allclose(view.depth, 0.05, atol=1e-5)
    assert view.alpha.min() > 0.7


def test_pixels_of_a_rendering_follow_the_camera_model():
    store = carpet()
    view = render(store, CAMERA, np.eye(4))
    expected = CAMERA.project(store.view("means"))
    np.testing.assert_allclose(view.pixels[view.shown], expected[view.shown], atol=1e-3)


def test_back_projected_residuals_bring_the_image_closer_and_spare_what_is_withheld():
    store = carpet()
    rng = np.random.default_rng(0)
    target = np.kron(rng.random((12, 16, 3)), np.ones((4, 4, 1))).astype(np.float32)
    weight = np.ones((48, 64), np.float32)
    weight[:, 32:] = 0
    before = store.view("colors").copy()
    errors = []
    for _ in range(6):
        view, residual, mass = back_project(store, CAMERA, np.eye(4), target, weight, 1.0)
        errors.append(np.abs(view.rgb - target)[:, :30].mean())
        store.view("colors")[:] += (mass > 0.15)[:, None] * residual
    assert errors[-1] < 0.35 * errors[0]
    hidden = CAMERA.project(store.view("means"))[:, 0] > 35
    np.testing.assert_array_equal(store.view("colors")[hidden], before[hidden])


def test_instruments_highlights_darkness_and_edges_are_not_believed():
    image = np.full((48, 64, 3), 120, np.uint8)
    image[5:8, 5:8], image[40:, :10] = 250, 3
    labels = np.zeros((48, 64), np.uint8)
    labels[20:30, 30:40] = 2
    depth = np.full((48, 64), 0.05, np.float32)
    depth[:, 60:] = 0.08
    from endosfm3d_ros.types import DepthMap, ScaleSource

    given = DepthMap(depth, np.ones_like(depth), CAMERA, "test", ScaleSource.STEREO, 0)
    seen = observe(image, given, labels, CAMERA, ValidityConfig())
    assert seen.tool[20:30, 30:40].all() and seen.tool.sum() == 100
    assert not seen.color[19:31, 29:41].any() and seen.color[10, 30]
    assert not seen.geometry[15:35, 35].any() and not seen.geometry[25, 25:45].any()
    assert seen.color[6, 6] and not seen.geometry[3:10, 6].any()
    assert not seen.color[40:, :10].any()
    assert np.isnan(seen.depth[24, 59:61]).all() and np.isfinite(seen.depth[10, 50])


def test_what_a_mask_leaves_of_an_instrument_is_withheld():
    image = np.full((48, 64, 3), (180, 90, 80), np.uint8)
    image[:, 30:44] = (120, 125, 130)
    labels = np.zeros((48, 64), np.uint8)
    labels[:, 32:42] = 1  # two columns short at each side
    seen = observe(image, _depth(), labels, CAMERA, ValidityConfig())
    assert not seen.color[:, 29:45].any()
    assert seen.color[:, :26].all() and seen.color[:, 48:].all()


def _depth():
    from endosfm3d_ros.types import DepthMap, ScaleSource

    plane = np.full((48, 64), 0.05, np.float32)
    return DepthMap(plane, np.ones_like(plane), CAMERA, "test", ScaleSource.STEREO, 0)


def test_depth_steps_are_found():
    depth = np.full((10, 10), 1.0, np.float32)
    depth[:, 5:] = 1.5
    found = discontinuities(depth, 0.1)
    assert found[:, 4:6].all() and not found[:, :4].any() and not found[:, 6:].any()


def test_flow_finds_a_shift_around_an_instrument_that_does_not_move():
    rng = np.random.default_rng(0)
    import cv2

    wide = cv2.GaussianBlur(rng.random((140, 180), np.float32), (0, 0), 2)
    wide = ((wide - wide.min()) / np.ptp(wide) * 200 + 20).astype(np.uint8)
    camera = PinholeCamera(160, 120, 150.0, 150.0, 79.5, 59.5)
    model, image = wide[10:130, 10:170], wide[8:128, 7:167].copy()  # moves by (3, 2)
    image[40:80, 60:100] = 255
    labels = np.zeros((120, 160), np.uint8)
    labels[40:80, 60:100] = 1
    from endosfm3d_ros.types import DepthMap, ScaleSource

    plane = np.full((120, 160), 0.05, np.float32)
    given = DepthMap(plane, np.ones_like(plane), camera, "test", ScaleSource.STEREO, 0)
    seen = observe(np.dstack([image] * 3), given, labels, camera, ValidityConfig())
    blank = empty_view(camera)
    rgb = np.dstack([model] * 3).astype(np.float32) / 255
    view = Rendering(rgb, plane, np.ones_like(plane), blank.pixels, blank.z, blank.shown)
    field = ModelFlow(FlowConfig()).measure(view, seen)
    used = field.weight > 0.3
    assert used.sum() > 5000 and not used[45:75, 65:95].any() and field.support > 0.8
    np.testing.assert_allclose(np.median(field.flow[used], axis=0), (3, 2), atol=0.3)


def samples_of(graph, points, move, depth_move=0.0):
    index, weight = graph.bind(points)
    there = points + move
    return Samples(
        index=index,
        weight=weight,
        points=points,
        rays=there[:, :2] / (points[:, 2:] + depth_move),
        flow_weight=np.ones(len(points)),
        depth=points[:, 2] + depth_move,
        depth_weight=np.ones(len(points)),
    )


def test_a_uniform_motion_is_recovered_exactly_enough():
    points = plane_points()
    graph = graph_of(points)
    move = np.array([0.0008, -0.0004, 0.0])
    samples = samples_of(graph, points, move, 0.0006)
    in_view = np.ones(graph.count, bool)
    step = solve_deformation(
        graph, samples, np.zeros((graph.count, 3)), in_view, DeformationConfig()
    )
    np.testing.assert_allclose(
        step, np.tile([0.0008, -0.0004, 0.0006], (graph.count, 1)), atol=3e-5
    )


def test_unmeasured_nodes_move_with_their_surroundings_whatever_was_predicted():
    points = plane_points()
    graph = graph_of(points)
    hole = np.linalg.norm(points[:, :2], axis=1) < 0.009
    samples = samples_of(graph, points[~hole], np.array([0.0, 0.0, 0.0]))
    inside = np.linalg.norm(graph.positions[:, :2], axis=1) < 0.006
    assert 1 <= inside.sum() < graph.count
    predicted = np.zeros((graph.count, 3))
    predicted[~inside] = [0.001, 0, 0]  # the rim has moved as predicted, the middle has not
    step = solve_deformation(
        graph, samples, predicted, np.ones(graph.count, bool), DeformationConfig()
    )
    assert (predicted + step)[inside, 0].min() > 0.0008
    assert np.abs(step[~inside]).max() < 2e-4


def test_nodes_out_of_view_and_too_few_samples_move_nothing():
    points = plane_points()
    graph = graph_of(points)
    near = graph.positions[:, 0] < 0.004
    samples = samples_of(graph, points[points[:, 0] < -0.006], np.array([0.001, 0, 0]))
    step = solve_deformation(graph, samples, np.zeros((graph.count, 3)), near, DeformationConfig())
    assert not step[~near].any() and step[near].any()
    few = samples_of(graph, points[:10], np.array([0.001, 0, 0]))
    assert not solve_deformation(graph, few, step, near, DeformationConfig()).any()


def test_outliers_of_the_flow_do_not_pull():
    points = plane_points()
    graph = graph_of(points)
    samples = samples_of(graph, points, np.zeros(3))
    samples.rays[::5, 0] += 0.2
    still, in_view = np.zeros((graph.count, 3)), np.ones(graph.count, bool)
    steps = [
        solve_deformation(graph, samples, still, in_view, DeformationConfig(rounds=rounds))
        for rounds in (1, 2, 8)
    ]
    pulls = [float(np.abs(step).max()) for step in steps]
    assert pulls[0] > pulls[1] > pulls[2]
    assert pulls[2] < 0.001  # each fifth sample says 0.01


def test_skinning_weights_sum_to_one_and_nodes_are_spaced():
    points = plane_points()
    graph = graph_of(points)
    index, weight = graph.bind(points)
    np.testing.assert_allclose(weight.sum(axis=1), 1, atol=1e-6)
    assert index.max() < graph.count
    nearest = np.linalg.norm(points[:, None] - graph.positions, axis=2).min(axis=1)
    assert nearest.max() < 1.1 * graph.spacing
    assert graph_of(points, capacity=10).count == 10


def test_a_graph_predicts_steady_motion_and_forgets_it():
    graph = graph_of(plane_points())
    seen = np.ones(graph.count, bool)
    step = np.tile([0.0005, 0, 0], (graph.count, 1))
    for _ in range(6):
        graph.learn(step, 0.1, seen)
    np.testing.assert_allclose(graph.predict(0.1), 0.9 * step, rtol=1e-6)
    rng = np.random.default_rng(0)
    for _ in range(12):
        graph.learn(0.0005 * rng.standard_normal(step.shape), 0.1, seen)
    assert np.abs(graph.predict(0.1)).max() < 2e-4
    graph.learn(np.full(step.shape, 1.0), 0.1, seen)
    assert np.linalg.norm(graph.predict(0.1), axis=1).max() <= 0.3 * graph.spacing + 1e-9


def test_edges_tear_where_tissue_is_cut_and_stay_torn():
    graph = graph_of(plane_points())
    before = len(graph.edges)
    step = np.zeros((graph.count, 3))
    step[graph.positions[:, 0] > 0] = [0.008, 0, 0]
    graph.move(step)
    torn = sum(graph.tear() for _ in range(8))
    assert torn > 5 and len(graph.edges) == before - torn
    left, right = (graph.positions[graph.edges, 0] > 0.004).T
    assert not (left != right).all()
    graph.bind(np.array([[0.1, 0.1, 0.05]]))  # ties anew
    cut = graph.state()["cut"]
    assert not {map(tuple, cut.tolist())} & {map(tuple, graph.edges.tolist())}


def test_dropping_nodes_renumbers_edges():
    graph = graph_of(plane_points())
    used = np.ones(graph.count, bool)
    used[::3] = False
    positions, lengths = graph.positions.copy(), None
    renumbered = graph.keep(used)
    np.testing.assert_array_equal(graph.positions, positions[used])
    assert (renumbered[~used] == -1).all() and graph.edges.max() < graph.count
    lengths = np.linalg.norm(np.subtract(*graph.positions[graph.edges.T]), axis=1)
    np.testing.assert_allclose(lengths, graph.state()["rest"])


def test_a_rigid_motion_is_found_among_deformation():
    rng = np.random.default_rng(0)
    points = plane_points()
    points[:, 2] += 0.004 * np.sin(150 * points[:, 0])
    T = se3.from_vectors(np.array([0.01, -0.02, 0.015]), np.array([0.0004, 0.0003, -0.0008]))
    there = se3.transform(T, points)
    there[::5] += 0.002 * rng.standard_normal(there[::5].shape)
    zero = np.zeros((len(points), 4))
    ones = np.ones(len(points))
    rays = there[:, :2] / there[:, 2:]
    samples = Samples(zero.astype(int), zero, points, rays, ones, ones * np.nan, ones)
    found = register(samples, RegistrationConfig(rounds=10))
    assert found.accepted and found.inliers > 0.65
    np.testing.assert_allclose(found.T_camera_predicted, T, atol=6e-4)
    far = Samples(zero.astype(int), zero, points, rays + 0.3, ones, ones, ones)
    assert not register(far, RegistrationConfig()).accepted


def test_a_correction_fades_to_nothing():
    T = se3.from_vectors(np.array([0.1, -0.2, 0.05]), np.array([0.01, 0.02, -0.03]))
    half = faded(T, 0.5)
    np.testing.assert_allclose(half, se3.from_vectors([0.05, -0.1, 0.025], [0.005, 0.01, -0.015]))
    np.testing.assert_allclose(faded(T, 1.0), np.eye(4), atol=1e-15)


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.2])
def test_scale_is_taken_from_what_did_not_move(factor):
    view = render(carpet(), CAMERA, np.eye(4))
    depth = np.full((48, 64), 0.05 / factor, np.float32)
    depth[12:36, 16:40] *= 0.85  # a quarter of the view breathes
    depth[:, -3:] = np.nan
    aligned = ScaleAlignment(AlignmentConfig(min_alpha=0.5, anchor=0.0)).align(depth, view)
    np.testing.assert_allclose(aligned[0, 0], 0.05, rtol=0.01)
    np.testing.assert_allclose(aligned[20, 20], 0.0425, rtol=0.01)


def test_fused_depth_is_the_running_mean_along_the_ray():
    store = carpet()
    store.view("weights")[:] = 3
    before = store.view("means").copy()
    view = render(store, CAMERA, np.eye(4))
    visible = visibility.project(view, 0.06)
    noise, config = DepthNoise(0.005, 0.1), fusion.FusionConfig()
    fusion.fuse_depth(store, visible, seen_by(depth=0.051), np.eye(4), noise, config)
    np.testing.assert_allclose(store.means[visible.slots], before[visible.slots] * 1.005, rtol=1e-4)
    np.testing.assert_allclose(store.weights[visible.slots], 4)
    fusion.fuse_depth(store, visible, seen_by(depth=0.08), np.eye(4), noise, config)
    np.testing.assert_allclose(store.weights[visible.slots], 4)  # another surface


def test_what_is_looked_through_fades_but_never_under_an_instrument():
    labels = np.zeros((48, 64), np.uint8)
    labels[:, 32:] = 1
    store = carpet()
    visible = visibility.project(render(store, CAMERA, np.eye(4)), 0.06)
    config, noise = fusion.FusionConfig(), DepthNoise(0.005, 0.03)
    seen = seen_by(depth=0.06, tool=labels)
    hidden = visible.slots[visible.column >= 32]
    open_ = visible.slots[visible.column < 24]
    for _ in range(2):
        fusion.carve_free_space(store, visible, seen, noise, config)
    assert (store.opacities[visible.slots] == np.float32(0.9)).all()
    for _ in range(20):
        fusion.carve_free_space(store, visible, seen, noise, config)
    assert (store.opacities[hidden] == np.float32(0.9)).all()
    assert (store.opacities[open_] == 0).all()


def test_holes_are_filled_from_their_rim():
    u = np.broadcast_to(np.linspace(0, 1, 64, dtype=np.float32), (48, 64))
    known = np.ones((48, 64), bool)
    known[15:30, 20:40] = False
    filled = push_pull(np.where(known, u, np.nan), known)
    np.testing.assert_array_equal(filled[known], u[known])
    assert np.abs(filled - u)[~known].max() < 0.12
    assert not push_pull(u, np.zeros_like(known)).any()
    assert push_pull(np.dstack([u] * 3), known).shape == (48, 64, 3)


def test_planted_gaussians_lie_on_the_surface_and_face_the_camera():
    seen = seen_by()
    config = densification.DensificationConfig()
    wanted = np.zeros((48, 64), bool)
    wanted[:, 20:40] = True
    store, graph = GaussianStore(3000), DeformationGraph(0.006, GraphConfig())
    surface = densification.surface_of(seen, empty_view(CAMERA), ~wanted, wanted, config)
    T = se3.from_vectors(np.array([0.1, 0.2, 0.3]), np.array([0.01, 0.02, 0.03]))
    place = densification.Place(seen, T, 7, regular())
    count = densification.densify(store, graph, surface, wanted, place, config)
    assert abs(count - wanted.sum() / 2.0**2) < 0.15 * count
    local = se3.transform(se3.inverse(T), store.view("means").astype(float))
    np.testing.assert_allclose(local[:, 2], 0.05, rtol=1e-4)
    pixels = CAMERA.project(local)
    assert pixels[:, 0].min() > 18.9 and pixels[:, 0].max() < 40.1
    towards = normals_towards(T, store.view("means"), store.view("quats"))
    np.testing.assert_allclose(towards, np.tile(-T[:3, 2], (count, 1)), atol=1e-3)
    assert (store.view("born") == 7).all() and not store.view("inferred").any()
    limited = densification.densify(
        store, graph, surface, wanted, place, config, inferred=True, limit=25
    )
    assert limited == 25 and store.view("inferred").sum() == 25


def test_a_guess_follows_what_is_known_and_gives_way_to_a_measurement():
    store = carpet()
    view = render(store, CAMERA, np.eye(4))
    visible = visibility.project(view, 0.06)
    right = view.pixels[:, 0] > 26
    store.view("guessed")[right] = True
    depth = np.full((48, 64), 0.052, np.float32)
    depth[:, 30:] = np.nan  # the left half is measured, the right half only guessed at
    seen = seen_by(depth=depth)
    known = fusion.measured_support(store, visible, (48, 64))
    assert known[:, :24].all() and not known[:, 36:].any()
    surface = densification.surface_of(
        seen, view, known, known, densification.DensificationConfig()
    )
    assert surface.guessed[:, 36:].all() and not surface.guessed[:, :30].any()
    np.testing.assert_allclose(surface.depth[:, 36:], 0.052, atol=6e-4)
    place = densification.Place(seen, np.eye(4), 3, regular())
    reinpaint(store, visible, surface, place)
    far = visible.slots[visible.surface & (visible.column > 34)]
    assert (store.means[far, 2] > 0.0505).all()
    # one measurement far outside the gate is believed, and is the first that counts
    measured = seen_by(depth=0.06)
    config = fusion.FusionConfig()
    fusion.fuse_depth(store, visible, measured, np.eye(4), METRIC_NOISE, config)
    shown = visible.slots[visible.surface]
    assert not store.guessed[shown].any()
    np.testing.assert_allclose(store.means[shown[right[shown]], 2], 0.06, rtol=0.05)
    np.testing.assert_allclose(store.means[shown[~right[shown]], 2], 0.05, rtol=1e-5)
    assert (store.weights[shown] <= 1).all()


def test_gaussians_are_spent_where_the_image_has_detail():
    rng = np.random.default_rng(3)
    grey = np.full((128, 160), 120, np.uint8)
    grey[:, 80:] = rng.integers(60, 180, (128, 80), np.uint8)
    everywhere = np.ones(grey.shape, bool)
    config = DensityConfig()
    density = wanted_density(grey, everywhere, config)
    spacing = density.spacings[density.level]
    assert np.median(spacing[:, 10:70]) > 2 * np.median(spacing[:, 90:150])
    share = (spacing.astype(float) ** -2).mean() * config.mean**2
    assert 0.75 < share < 1.3  # as many as on a regular grid, up to the steps between spacings
    unseen = wanted_density(grey, ~everywhere, config)
    assert (unseen.level == config.default).all()


def test_specks_of_depth_are_not_believed():
    depth = np.full((48, 64), np.nan, np.float32)
    depth[:, :40] = 0.05
    depth[20:24, 50:54] = 0.2
    seen = seen_by(depth=depth)
    assert np.isfinite(seen.depth[:, :40]).all() and not np.isfinite(seen.depth[:, 45:]).any()


def test_without_any_depth_there_is_no_surface():
    nothing = seen_by(depth=np.nan, confidence=0.0)
    wanted = np.ones((48, 64), bool)
    config = densification.DensificationConfig()
    nowhere = np.zeros_like(wanted)
    assert densification.surface_of(nothing, empty_view(CAMERA), nowhere, wanted, config) is None


def test_quaternions_turn_the_third_axis_onto_the_normal():
    rng = np.random.default_rng(0)
    normals = rng.standard_normal((50, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    quats = densification.facing(normals)
    np.testing.assert_allclose(np.linalg.norm(quats, axis=1), 1, atol=1e-6)
    points = -5 * normals.astype(np.float32)  # the camera at the origin is where normals point
    turned = normals_towards(np.eye(4), points, quats)
    np.testing.assert_allclose(turned, normals, atol=1e-5)


def test_crowds_are_thinned_and_coarse_gaussians_split():
    config = maintenance.MaintenanceConfig()
    store = carpet(step=0.7, capacity=9000)
    view = render(store, CAMERA, np.eye(4))
    visible = visibility.project(view, 0.06)
    before = store.count
    place = densification.Place(seen_by(), np.eye(4), 1, regular())
    removed = maintenance.thin_crowds(store, visible, view.pixels, place, config)
    assert removed > 0.4 * before and store.count == before - removed
    assert render(store, CAMERA, np.eye(4)).alpha.min() > 0.3
    store = carpet(step=5.0, capacity=2000)
    view = render(store, CAMERA, np.eye(4))
    before = store.count
    count = maintenance.split_coarse(store, visibility.project(view, 0.06), place, config)
    assert count > 50 and store.count == before + 3 * count
    after = render(store, CAMERA, np.eye(4))
    np.testing.assert_allclose(after.depth[4:-4, 4:-4], 0.05, atol=1e-4)


def test_eviction_spares_what_is_shown_and_what_is_new():
    store = carpet(capacity=1500)
    store.view("seen")[:] = np.arange(store.size)
    store.view("born")[-10:] = 2000
    store.view("born")[:-10] = 0
    shown = np.arange(100)
    config = maintenance.MaintenanceConfig(room=0.5)
    before = store.count
    count = maintenance.evict(store, shown, 2000, 30.0, config)
    assert count == before - 750 and store.room == 750
    assert (store.opacities[shown] > 0).all() and (store.opacities[-10:][: store.size] >= 0).all()
    assert (store.view("opacities")[-10:] > 0).all()
    assert not store.view("opacities")[100 : 100 + count].any()  # the longest unseen went
    assert maintenance.evict(store, shown, 2000, 30.0, config) == 0
