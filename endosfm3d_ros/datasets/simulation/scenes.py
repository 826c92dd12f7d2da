"""The named scenes of the simulator: what lives in them and what moves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from endosfm3d_ros.datasets.simulation.anatomy.ranges import FLAT, GENTLE, Anatomy
from endosfm3d_ros.geometry import se3

Triple = tuple[float, float, float]
Waves = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]  # amplitude, hertz
CALM: Waves = ((0.0, 0.0), (0.0, 0.0), (0.0, 0.0))


@dataclass(frozen=True)
class Path:
    """A motion whose coordinates are sines of time; identity at time zero."""

    translation: Waves = CALM  # metres
    rotation: Waves = CALM  # radians

    def at(self, time: float) -> np.ndarray:
        """4x4 motion at a time in seconds."""
        waves = [a * np.sin(2 * np.pi * f * time) for a, f in (*self.rotation, *self.translation)]
        return se3.from_vectors(np.array(waves[:3]), np.array(waves[3:]))


@dataclass(frozen=True)
class Swell:
    """A bump of tissue that rises and falls back: a breath, a heartbeat, a pull.

    The place is given by tangents (x / z, y / z) in the first picture.
    """

    place: tuple[float, float]
    vector: Triple  # metres at the crest
    radius: float  # metres, one sigma
    period: float  # seconds from rest to rest

    def activation(self, time: float) -> float:
        """0 at rest, 1 at the crest; starts at rest."""
        return 0.5 - 0.5 * np.cos(2 * np.pi * time / self.period)


@dataclass(frozen=True)
class Incision:
    """A cut that opens once."""

    place: tuple[float, float]  # tangents of its middle in the first picture
    angle: float  # radians in the picture, from x towards y
    length: float = 0.008  # metres, one sigma
    depth: float = 0.004  # metres
    width: float = 0.0025  # metres, half the opening at the end
    fading: float = 0.008  # metres across after which tissue stays
    begins: float = 0.5  # seconds
    lasts: float = 3.0  # seconds until it is open

    def opening(self, time: float) -> float:
        """Half the opening in metres."""
        share = np.clip((time - self.begins) / self.lasts, 0, 1)
        return float(self.width * share * share * (3 - 2 * share))


@dataclass(frozen=True)
class Instrument:
    """A tool whose tips start before a place of the first picture."""

    kind: str  # a name of `instruments.KINDS`
    place: tuple[float, float]  # tangents of the point between the jaws' tips
    gap: float  # metres towards the camera from the nearest tissue around the place
    heading: Triple  # direction of the shaft towards the jaws, any length
    around: float = 0.35  # tangents to each side in which tissue is kept clear of
    reach: float = 0.028  # metres from the shaft's end to the jaws' tips
    roll: float = 0.0  # radians about the shaft
    bend: float = 0.2  # radians at the wrist
    opening: float = 0.25  # radians of each jaw
    path: Path = field(default_factory=Path)  # in the tool's own frame
    follows: bool = False  # is carried by the first swell, as a grasper that pulls


@dataclass(frozen=True)
class Zoom:
    """The optics zoom in the middle of the clip."""

    factor: float = 1.3
    lasts: float = 0.2  # seconds

    def at(self, time: float, duration: float) -> float:
        """Factor on the focal length."""
        share = np.clip((time - 0.5 * duration) / self.lasts + 0.5, 0, 1)
        return float(self.factor**share)


@dataclass(frozen=True)
class Scene:
    """What is seen and how; every part can be left out."""

    summary: str
    anatomy: Anatomy = GENTLE
    distance: float = 0.050  # metres
    camera: Path = field(default_factory=Path)
    swells: tuple[Swell, ...] = ()
    incision: Incision | None = None
    instruments: tuple[Instrument, ...] = ()
    zoom: Zoom | None = None  # with it there is one eye only: a pair's calibration would be wrong
    raw_rotation: float = 0.0  # degrees between the raw and the rectified left eye
    wetness: float = 0.4  # factor on all highlights; 0 is dry
    noise: float = 0.006  # of the sensor, at full scale
    smoke: float = 0.0
    blood: bool = False


# Slow motion of a robot-held endoscope.
ROAMING = Path(
    translation=((0.008, 0.10), (0.005, 0.13), (0.006, 0.07)),
    rotation=((0.05, 0.11), (0.06, 0.09), (0.12, 0.06)),
)
WITHDRAWAL = Path(
    translation=((0.004, 0.10), (0.002, 0.13), (-0.018, 0.05)),
    rotation=((0.02, 0.11), (0.02, 0.09), (0.35, 0.05)),
)
DRIFTING = Path(translation=((0.002, 0.10), (0.0015, 0.13), (0.001, 0.07)))

BREATH = Swell((0.12, -0.08), (0.0012, 0.0009, -0.004), 0.030, 4.0)  # 15 breaths a minute
HEARTBEAT = Swell((-0.25, 0.2), (0.0004, 0.0, -0.0006), 0.012, 0.85)  # 70 beats a minute
PULL = Swell((0.14, 0.05), (-0.003, -0.001, -0.007), 0.016, 6.0)

GRASPER = Instrument(
    "fenestrated grasper", (0.10, 0.10), 0.010, (0.85, -0.30, 0.42), roll=0.4, bend=0.25,
    opening=0.30,
    path=Path(
        ((0.003, 0.21), (0.004, 0.17), (0.003, 0.13)), ((0.04, 0.15), (0.06, 0.19), (0.15, 0.11))
    ),
)  # fmt: skip
FORCEPS = Instrument(
    "curved forceps", (-0.04, -0.12), 0.002, (-0.80, -0.18, 0.45), roll=1.2, bend=-0.3,
    opening=0.18,
    path=Path(
        ((0.004, 0.16), (0.003, 0.23), (0.006, 0.11)), ((0.05, 0.18), (0.07, 0.13), (0.20, 0.09))
    ),
)  # fmt: skip

SCENES: dict[str, Scene] = {
    "breathing": Scene(
        "moving camera, tissue that breathes and beats", camera=ROAMING, swells=(BREATH, HEARTBEAT)
    ),
    "static": Scene("still camera, still tissue, sensor noise only"),
    "moving": Scene("moving camera, still tissue", camera=ROAMING),
    "resting": Scene(
        "still camera, tissue that breathes and beats", swells=(BREATH, HEARTBEAT)
    ),
    "plane": Scene(
        "still camera, flat dry tissue at 50 mm, no noise", anatomy=FLAT, wetness=0.0, noise=0.0
    ),
    "rotated": Scene("moving, raw eyes turned by 2 degrees", camera=ROAMING, raw_rotation=2.0),
    "zoom": Scene("moving, one eye, focal length x1.3 in the middle", camera=ROAMING, zoom=Zoom()),
    "withdrawing": Scene("camera that retreats and turns about its axis", camera=WITHDRAWAL),
    "instruments": Scene(
        "two tools that move over breathing tissue",
        distance=0.070,
        swells=(BREATH,),
        instruments=(GRASPER, FORCEPS),
    ),
    "pulling": Scene(
        "a grasper that lifts tissue",
        distance=0.070,
        swells=(PULL,),
        instruments=(
            Instrument(
                "fenestrated grasper", PULL.place, 0.001, (0.80, 0.20, 0.50), roll=0.3, bend=0.15,
                opening=0.06, follows=True, around=0.0,
            ),
        ),
    ),
    "cutting": Scene(
        "a hook that opens a cut",
        distance=0.070,
        incision=Incision((0.03, 0.02), 0.35),
        instruments=(
            Instrument(
                "hook", (-0.08, -0.03), 0.002, (0.75, -0.15, 0.60), reach=0.015, bend=0.1,
                path=Path(((0.0, 0.0), (0.001, 0.7), (0.012, 0.06)), CALM),
            ),
        ),
    ),
    "surgery": Scene(
        "everything: two tools, breathing, heartbeat, drifting camera, blood and thin smoke",
        distance=0.070,
        camera=DRIFTING,
        swells=(BREATH, HEARTBEAT),
        instruments=(GRASPER, FORCEPS),
        smoke=0.12,
        blood=True,
    ),
}  # fmt: skip
