"""What a model, an observation and a placement refuse."""

import numpy as np
import pytest

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.types import ToolModel, ToolObservation, ToolPlacement

VERTICES = np.eye(3, dtype=np.float32)
FACES = np.array([[0, 1, 2]], np.int32)
COLORS = np.zeros((3, 3), np.uint8)
CAMERA = PinholeCamera(8, 6, 10, 10, 4, 3)


@pytest.mark.parametrize(
    ("vertices", "faces", "colors", "sentence"),
    [
        (VERTICES * np.nan, FACES, COLORS, "not finite"),
        (VERTICES, FACES[:0], COLORS, "F > 0"),
        (VERTICES, FACES + 1, COLORS, "vertex 1 to 3"),
        (VERTICES, FACES - 1, COLORS, "vertex -1 to 1"),
        (VERTICES[:, :2], FACES, COLORS, r"\(V, 3\)"),
        (VERTICES, FACES, COLORS[:2], "colours"),
    ],
)
def test_unusable_models_are_refused(vertices, faces, colors, sentence):
    with pytest.raises(InputError, match=sentence):
        ToolModel(vertices, faces, colors, "mesh", True)


@pytest.mark.parametrize("name", ["tissue_depth", "tool_depth", "occluder", "image"])
def test_arrays_of_another_size_are_refused(name):
    mask = np.zeros((6, 8), bool)
    with pytest.raises(InputError, match="mask of 6x8 pixels: the camera has 8x6"):
        ToolObservation(mask.T, CAMERA)
    with pytest.raises(InputError, match="8x5"):
        ToolObservation(mask, CAMERA, **{name: np.zeros((5, 8))})


def test_a_placement_maps_model_points():
    R = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1.0]])
    covariance = np.zeros((6, 6))
    placement = ToolPlacement(R, np.array([1, 2, 3.0]), 2.0, 1.0, covariance, 0.0, True)
    np.testing.assert_allclose(placement.points(np.array([[1.0, 0, 0]])), [[1, 4, 3]])
    nowhere = ToolPlacement.nowhere("no mask", stamp=5)
    assert not nowhere.valid and not nowhere.trusted
    assert nowhere.reason == "no mask" and nowhere.stamp == 5
