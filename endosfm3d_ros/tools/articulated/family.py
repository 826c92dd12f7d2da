"""The family of instruments: what each kind is made of, in millimetres of one with an 8 mm shaft.

Tool frame: origin where the shaft ends and the wrist bends about x, z along the shaft towards the
jaws. The jaws open about y at the hinge. Real instruments are met by stretching: everything with
the diameter of the shaft, the jaws also by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from endosfm3d_ros.tools.articulated.solids import Box, Point, Rod, Solid

SHAFT, WRIST, JAW, OTHER_JAW = range(4)  # links
SHAFT_LENGTH = 110.0  # mm that a model shows
REFERENCE = 8.0  # mm, diameter of the shaft that the lengths belong to


@dataclass(frozen=True)
class Kind:
    """A type of instrument; lengths in millimetres."""

    name: str
    diameter: float  # of the shaft
    hinge: float  # from the end of the shaft to the axis of the jaws
    shaft: tuple[Solid, ...]
    wrist: tuple[Solid, ...]
    jaw: tuple[Solid, ...]  # of one jaw, or of the only one
    jaws: int = 2
    bends: bool = True
    stretches: tuple[float, ...] = (0.75, 1.0, 1.35)  # lengths of the jaws that are tried
    thick: float | None = None  # along the jaw, beyond which masks mostly miss it
    half_turn: bool = True  # looks the same, with all joints reversed, after half a turn


def _tube(radius: float, end: float, rings: int = 12) -> Rod:
    return Rod((0, 0, -SHAFT_LENGTH), (0, 0, end), (radius, radius), sides=14, rings=rings)


def _shaft(radius: float = 4.0) -> tuple[Solid, ...]:
    nose = Rod((0, 0, -1.0), (0, 0, 1.5), (0.9 * radius, 0.6 * radius))
    return _tube(radius, -1.0), nose


def _wrist(width: float, hinge: float) -> tuple[Solid, ...]:
    arm = [
        Box((x, 0, 0.5), (x, 0, hinge + 1.8), (0.22 * width, 0.62 * width))
        for x in (-0.6 * width, 0.6 * width)
    ]
    body = Rod((0, 0, -1.5), (0, 0, hinge - 2), (0.8 * width, 0.8 * width), 0.8)
    drum = Rod((-0.9 * width, 0, 0.3), (0.9 * width, 0, 0.3), (1.9, 1.9), sides=8)
    return *arm, body, drum


def mirrored(solids: tuple[Solid, ...]) -> tuple[Solid, ...]:
    """The other jaw: x reversed."""

    def turned(point: Point) -> Point:
        return -point[0], point[1], point[2]

    return tuple(replace(s, start=turned(s.start), end=turned(s.end)) for s in solids)


FAMILY = (
    Kind("fenestrated grasper", 8.0, 9.0, _shaft(), _wrist(3.0, 9.0), (
        Rod((0.8, 0, -1), (1.0, 0, 5), (1.6, 2.2), sides=8),
        Rod((1.0, 1.7, 4), (1.2, 1.7, 18), (0.8, 0.7), sides=6),
        Rod((1.0, -1.7, 4), (1.2, -1.7, 18), (0.8, 0.7), sides=6),
        Rod((1.2, 0, 17.2), (0.9, 0, 20), (2.3, 1.2), 0.5, sides=8),
    )),
    Kind("needle driver", 8.0, 8.0, _shaft(), _wrist(3.0, 8.0), (
        Rod((0.9, 0, -1), (0.8, 0, 4), (1.7, 1.9), sides=8),
        Rod((0.8, 0, 4), (0.5, 0, 11), (1.9, 1.1), 0.9, sides=8),
    )),
    Kind("scissors", 8.0, 9.0, _shaft(), _wrist(2.8, 9.0), (
        Rod((0.6, 0, -1), (0.6, 0, 4), (1.2, 1.5), 1.3, sides=8),
        Box((0.6, 0, 4), (0.4, 1.2, 16), (0.7, 2.0)),
    ), half_turn=False),
    Kind("curved forceps", 8.0, 9.0, _shaft(), _wrist(2.6, 9.0), (
        Rod((0.7, 0, -1), (1.2, 0, 7), (1.4, 1.3), 1.4, sides=8),
        Rod((1.2, 0, 7), (0.9, 1.2, 13), (1.3, 1.0), 1.3, sides=8),
        Rod((0.9, 1.2, 12.6), (0.2, 3.2, 19), (1.0, 0.4), 1.2, sides=8),
    ), half_turn=False),
    Kind("plain forceps", 8.0, 9.0, _shaft(), _wrist(2.6, 9.0), (
        Rod((0.7, 0, -1), (1.1, 0, 8), (1.4, 1.4), 1.3, sides=8),
        Rod((1.1, 0, 8), (0.5, 0, 19), (1.4, 0.6), 1.2, sides=8),
    )),
    Kind("clip applier", 8.0, 8.0, _shaft(), _wrist(3.2, 8.0), (
        Rod((1.2, 0, -1), (1.6, 0, 5), (1.8, 1.4), sides=8),
        Box((1.6, 0, 5), (1.8, 0, 15), (0.9, 1.6)),
    )),
    Kind("hook", 8.0, 7.0, _shaft(), _wrist(2.8, 7.0), (
        Rod((0, 0, -1), (0, 0, 6), (1.5, 1.4), sides=8),
        Rod((0, 0, 6), (0, 0, 15), (0.6, 0.6), sides=6),
        Rod((0, 0, 14.6), (0, 3.5, 15.2), (0.7, 0.5), sides=6),
    ), jaws=1, thick=7.0, half_turn=False),
    Kind("spatula", 8.0, 9.0, _shaft(), _wrist(2.9, 9.0), (
        Rod((0, 0, -1), (0, 0, 5), (2.0, 1.6), sides=8),
        Rod((0, 0, 5), (0, 0, 16), (1.7, 0.9), 0.35, sides=8),
    ), jaws=1),
    Kind("suction tube", 5.0, 1.0, (_tube(4.0, 0.0),), (), (), jaws=0, bends=False,
         stretches=(1.0,)),
    Kind("straight grasper", 5.0, 3.2, (
        _tube(4.0, -5.0),
        Rod((0, 0, -5.0), (0, 0, 1.6), (3.8, 3.5)),
        Box((2.9, 0, 0), (2.9, 0, 8), (0.8, 2.4)),
        Box((-2.9, 0, 0), (-2.9, 0, 8), (0.8, 2.4)),
    ), (), (
        Rod((1.1, 0, -1.6), (1.4, 0, 14.4), (2.2, 2.9), 1.1, sides=8),
        Rod((1.4, 0, 14.4), (1.0, 0, 35.2), (2.9, 1.8), 1.2, sides=8),
    ), bends=False),
)  # fmt: skip
