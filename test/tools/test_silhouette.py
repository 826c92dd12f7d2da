"""Silhouettes against filling every triangle pixel by pixel."""

import numpy as np
import pytest

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.shapes.edges import MeshEdges
from endosfm3d_ros.tools.shapes.silhouette import (
    SilhouetteMesh,
    Window,
    overlap,
    project,
    silhouette,
    silhouettes,
)

CAMERA = PinholeCamera(64, 48, 50.0, 55.0, 31.3, 23.6)


def every_triangle(vertices, faces, camera):
    """Union of all triangles: pixels whose centre lies on one side of all three edges."""
    pixels = camera.project(vertices)
    grid = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1)
    covered = np.zeros((camera.height, camera.width), bool)
    for face in faces:
        corners = pixels[face]
        if np.isnan(corners).any():
            continue
        sides = []
        for a, b in zip(corners, np.roll(corners, -1, axis=0)):
            sides.append(
                (b[0] - a[0]) * (grid[..., 1] - a[1]) - (b[1] - a[1]) * (grid[..., 0] - a[0])
            )
        sides = np.stack(sides)
        covered |= (sides > 0).all(axis=0) | (sides < 0).all(axis=0)
    return covered


@pytest.mark.parametrize("seed", range(5))
def test_any_soup_of_triangles_is_filled_like_each_of_them(seed):
    rng = np.random.default_rng(seed)
    vertices = rng.uniform((-0.6, -0.5, 0.7), (0.6, 0.5, 1.3), (40, 3)).astype(np.float32)
    faces = np.array([rng.choice(40, 3, replace=False) for _ in range(30)], np.int32)
    ours = silhouette(vertices, faces, CAMERA)
    assert np.count_nonzero(ours != every_triangle(vertices, faces, CAMERA)) <= 2  # on an edge


def test_a_batch_gives_what_each_pose_gives_alone():
    rng = np.random.default_rng(1)
    points = rng.uniform((-0.4, -0.4, 0.8), (0.4, 0.4, 1.2), (3, 20, 3)).astype(np.float32)
    faces = np.array([rng.choice(20, 3, replace=False) for _ in range(12)], np.int32)
    mesh = SilhouetteMesh(points[0], faces)
    together = silhouettes(mesh, points, CAMERA, Window.whole(CAMERA))
    for pose, mask in zip(points, together):
        np.testing.assert_array_equal(mask, silhouette(pose, faces, CAMERA))


def test_a_window_samples_the_same_pixels():
    vertices = np.array([[-0.3, -0.3, 1], [0.4, -0.2, 1], [0, 0.4, 1.2]], np.float32)
    mesh = SilhouetteMesh(vertices, np.array([[0, 1, 2]]))
    whole = silhouettes(mesh, vertices[None], CAMERA, Window.whole(CAMERA))[0]
    part = silhouettes(mesh, vertices[None], CAMERA, Window(6, 4, 3, 15, 12))[0]
    np.testing.assert_array_equal(part, whole[4::3, 6::3][:12, :15])


def test_triangles_behind_the_camera_are_left_out_and_the_rest_stays_solid():
    x, z = [0.0, 0.0, 0.1, 0.1], [1.0, 2.0, -0.5, -1.0]
    strip = np.array([[xi, y, zi] for xi, zi in zip(x, z) for y in (-0.1, 0.1)], np.float32)
    faces = np.array([[0, 1, 2], [1, 3, 2], [0, 1, 4], [1, 5, 4]], np.int32)
    everything = silhouette(strip, faces, CAMERA)
    before = silhouette(strip, faces[:2], CAMERA)
    np.testing.assert_array_equal(everything, before)
    assert not project(strip, CAMERA)[1][4:].any()


def test_edges_know_both_faces_and_openness():
    tetrahedron = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])
    edges = MeshEdges.of(tetrahedron)
    assert len(edges.vertices) == 6 and edges.closed
    opened = MeshEdges.of(tetrahedron[:3])
    assert not opened.closed
    assert (opened.faces == 3).sum() == 3  # three edges lack a face
    fan = MeshEdges.of(np.array([[0, 1, 2], [1, 0, 3], [0, 1, 4]]))  # three faces in one edge
    assert (np.sort(fan.vertices, axis=1) == [0, 1]).all(axis=1).sum() == 2


def test_overlap_of_nothing_is_zero():
    empty = np.zeros((3, 3), bool)
    assert overlap(empty, empty) == 0
    assert overlap(~empty, ~empty) == 1
