"""The surface of a model as points: what clouds show and distances are measured from.

Vertices alone will not do: along the straight shaft of a capsule they are 6 mm apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import trimesh

SPACING = 1 / 150  # of points over the extent of the model: under 1 mm of an instrument
MAX_POINTS = 20_000


@dataclass(frozen=True)
class SurfacePoints:
    """S points spread evenly at random over a mesh, in its units; the same ones every time."""

    points: np.ndarray  # (S, 3) float32
    normals: np.ndarray  # (S, 3) float32 unit, outwards
    colors: np.ndarray  # (S, 3) uint8 RGB
    faces: np.ndarray  # (S,) of the mesh, that they lie on

    @classmethod
    def of_mesh(cls, vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> SurfacePoints:
        """Points on a mesh of (V, 3) vertices, (F, 3) faces and (V, 3) uint8 colours."""
        mesh = trimesh.Trimesh(vertices, faces, process=False)
        spacing = SPACING * float(np.linalg.norm(np.ptp(vertices, axis=0)))
        count = int(min(MAX_POINTS, np.ceil(mesh.area / spacing**2)))
        points, face = trimesh.sample.sample_surface(mesh, max(1, count), seed=0)
        return cls(
            np.asarray(points, np.float32),
            np.asarray(mesh.face_normals[face], np.float32),
            colors[faces[face]].mean(axis=1).astype(np.uint8),
            np.asarray(face),
        )
