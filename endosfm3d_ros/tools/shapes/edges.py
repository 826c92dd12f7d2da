"""The edges of a triangle mesh with the faces on their two sides."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class MeshEdges:
    """Every edge once, from its smaller to its larger vertex; open meshes are welcome.

    A face that an edge lacks is F, one past the last. `turn` is +1 where the face walks along the
    edge from its first to its second vertex, -1 where it walks back, 0 where there is no face.
    """

    vertices: np.ndarray  # (E, 2) int32
    faces: np.ndarray  # (2, E) intp
    turn: np.ndarray  # (2, E) int8

    @classmethod
    def of(cls, faces: np.ndarray) -> MeshEdges:
        """Edges of (F, 3) faces.

        Where more than two faces meet in an edge it is listed once for every two of them.
        """
        count = len(faces)
        walks = faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2)  # (3 F, 2)
        owner = np.repeat(np.arange(count, dtype=np.int32), 3)
        turn = np.where(walks[:, 0] < walks[:, 1], 1, -1).astype(np.int8)
        ends = np.sort(walks, axis=1)
        order = np.lexsort((ends[:, 1], ends[:, 0]))
        ends, owner, turn = ends[order], owner[order], turn[order]
        new = np.ones(len(ends), bool)
        new[1:] = (ends[1:] != ends[:-1]).any(axis=1)
        starts = np.nonzero(new)[0]
        rank = np.arange(len(ends)) - np.repeat(starts, np.diff([*starts, len(ends)]))
        first = rank % 2 == 0
        has_second = np.append(~first[1:], False)[first]
        sides = np.full((2, int(first.sum())), count, np.intp)
        turns = np.zeros_like(sides, np.int8)
        sides[0], turns[0] = owner[first], turn[first]
        sides[1, has_second], turns[1, has_second] = owner[~first], turn[~first]
        return cls(ends[first].astype(np.int32), sides, turns)

    @property
    def closed(self) -> bool:
        """Whether every edge has two faces that walk along it in opposite directions."""
        return bool((self.turn.sum(axis=0) == 0).all())
