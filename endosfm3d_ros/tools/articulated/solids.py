"""Rods and boxes between two points, as closed triangle meshes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Point = tuple[float, float, float]


@dataclass(frozen=True)
class Rod:
    """A capped cone of elliptic section."""

    start: Point
    end: Point
    radii: tuple[float, float]  # along the link's x, at both ends
    flat: float = 1.0  # radius across the link's x over that along it
    sides: int = 10
    rings: int = 2  # of vertices along it

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        """(V, 3) float64 vertices in the unit of the points and (F, 3) int faces, outwards."""
        frame, length = axes_of(self.start, self.end)
        share = np.linspace(0, 1, self.rings)
        radius = self.radii[0] + (self.radii[1] - self.radii[0]) * share
        angle = 2 * np.pi * np.arange(self.sides) / self.sides
        circle = np.stack([np.cos(angle), self.flat * np.sin(angle)], -1)
        points = np.empty((self.rings, self.sides, 3))
        points[..., :2] = radius[:, None, None] * circle
        points[..., 2] = share[:, None] * length
        middles = [[0, 0, 0], [0, 0, length]]
        vertices = np.concatenate([points.reshape(-1, 3), middles])
        return vertices @ frame.T + self.start, self._faces()

    def _faces(self) -> np.ndarray:
        own = np.arange(self.rings * self.sides).reshape(self.rings, self.sides)
        after = np.roll(own, -1, 1)
        middle = self.rings * self.sides
        low, low_next, high, high_next = own[:-1], after[:-1], own[1:], after[1:]
        parts = [
            np.stack([low, low_next, high_next], -1).reshape(-1, 3),
            np.stack([low, high_next, high], -1).reshape(-1, 3),
            np.stack([after[0], own[0], np.full(self.sides, middle)], -1),
            np.stack([own[-1], after[-1], np.full(self.sides, middle + 1)], -1),
        ]
        return np.concatenate(parts)


@dataclass(frozen=True)
class Box:
    """A bar of rectangular section."""

    start: Point
    end: Point
    half: tuple[float, float]  # width along the link's x and height across it

    def mesh(self) -> tuple[np.ndarray, np.ndarray]:
        """As of a rod."""
        frame, length = axes_of(self.start, self.end)
        x, y = self.half
        corners = [[i * x, j * y, k * length] for k in (0, 1) for j in (-1, 1) for i in (-1, 1)]
        quads = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
        faces = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
        return np.array(corners) @ frame.T + self.start, np.array(faces)


Solid = Rod | Box


def axes_of(start: Point, end: Point) -> tuple[np.ndarray, float]:
    """(3, 3) axes of a solid, z from start to end and x near the link's, and its length."""
    along = np.subtract(end, start).astype(float)
    length = float(np.linalg.norm(along))
    z = along / length
    near = np.array([1.0, 0, 0]) if abs(z[0]) < 0.9 else np.array([0, 0, 1.0])
    y = np.cross(z, near)
    y /= np.linalg.norm(y)
    return np.column_stack([np.cross(y, z), y, z]), length
