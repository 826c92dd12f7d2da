"""The shape of a marker: triangles in every message, or a file on this machine written once.

Triangles reach every viewer, on whatever machine. A file keeps messages small, but a viewer on
another machine does not see it.
"""

from __future__ import annotations

import itertools
import os
from abc import ABC, abstractmethod

from geometry_msgs.msg import Point
from visualization_msgs.msg import Marker

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.atomic import write_bytes
from endosfm3d_ros.files.leftovers import NOTES, forget, lasting_path
from endosfm3d_ros.files.locations import mesh_folder
from endosfm3d_ros.tools.shapes.mesh import decimated
from endosfm3d_ros.tools.types import ToolModel

MAX_TRIANGLES = 2000  # of one marker, about: a mesh with more is reduced for display
NUMBERS = itertools.count(1)  # viewers remember files by name, so no name comes twice


class MarkerShape(ABC):
    """Of one model; made once and used for every image that shows it."""

    @abstractmethod
    def put_into(self, marker: Marker) -> None:
        """Set the type of a marker and what it shows, in the model frame."""

    @abstractmethod
    def discard(self) -> None:
        """The model is shown no more."""


class Triangles(MarkerShape):
    """Corners as points; they are kept because making thousands takes longer than a placement."""

    def __init__(self, model: ToolModel) -> None:
        vertices, faces = decimated(model.vertices, model.faces, MAX_TRIANGLES)
        corners = vertices[faces].reshape(-1, 3).astype(float)
        self._points = [Point(x=x, y=y, z=z) for x, y, z in corners.tolist()]

    def put_into(self, marker: Marker) -> None:
        """A TRIANGLE_LIST."""
        marker.type, marker.points = Marker.TRIANGLE_LIST, self._points

    def discard(self) -> None:
        """Free the points."""
        self._points = []


class MeshFile(MarkerShape):
    """A binary STL file in `$ROS_HOME/endosfm3d`, named by URI; removed when it is discarded.

    A file that a killed node left is removed at the next start.

    Raises:
        OSError, ConfigurationError: it cannot be written.
    """

    def __init__(self, model: ToolModel) -> None:
        import trimesh

        folder = mesh_folder()
        folder.mkdir(parents=True, exist_ok=True)
        self._path = lasting_path(folder / f"tool_{os.getpid()}_{next(NUMBERS)}.stl")
        self._note = NOTES.add(self._path, self._path)
        mesh = trimesh.Trimesh(model.vertices, model.faces, process=False)
        write_bytes(self._path, mesh.export(file_type="stl"))

    def put_into(self, marker: Marker) -> None:
        """A MESH_RESOURCE."""
        marker.type, marker.mesh_resource = Marker.MESH_RESOURCE, self._path.absolute().as_uri()

    def discard(self) -> None:
        """Remove the file."""
        self._path.unlink(missing_ok=True)
        forget(self._note)


SHAPES: dict[str, type[MarkerShape]] = {"inline": Triangles, "file": MeshFile}


def shape_of(model: ToolModel, kind: str) -> MarkerShape:
    """A shape of that kind; triangles where a file cannot be written."""
    try:
        return SHAPES[kind](model)
    except (OSError, ConfigurationError):
        return Triangles(model)
