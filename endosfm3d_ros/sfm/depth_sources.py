"""The one list of depth sources: what each is called, needs and is made of.

A new source is a file with a `DepthSource` and an entry here; parameters, commands and documents
take names and meanings from this list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.sfm.config import AUTO, EstimatorConfig
from endosfm3d_ros.sfm.depth.external import ExternalSource
from endosfm3d_ros.sfm.depth.shading import ShadingSource
from endosfm3d_ros.sfm.depth.source import DepthSource
from endosfm3d_ros.sfm.depth.stereo import StereoSource
from endosfm3d_ros.sfm.endosfm3d.source import EndoSfM3D
from endosfm3d_ros.sfm.endosfm3d.weights import find_weights
from endosfm3d_ros.types import Frame

Report = Callable[[str], None]


@dataclass(frozen=True)
class DepthSourceKind:
    """One way to depth."""

    name: str
    meaning: str
    needs: tuple[str, ...]  # fields of a frame that must be there
    make: Callable[[EstimatorConfig, Report], DepthSource]
    require: Callable[[EstimatorConfig], object] = lambda _: None  # raises ConfigurationError

    def can_use(self, frame: Frame) -> bool:
        """Whether a frame has what it needs."""
        return all(getattr(frame, part) is not None for part in self.needs)


KINDS = (  # the best first: `auto` takes the first that the first frame can feed
    DepthSourceKind(
        ExternalSource.name, "depth sent along", ("depth",), lambda c, _: ExternalSource()
    ),
    DepthSourceKind(
        StereoSource.name,
        "a calibrated pair",
        ("right_image", "stereo"),
        lambda c, _: StereoSource(c.stereo),
    ),
    DepthSourceKind(
        EndoSfM3D.name,
        "networks for one eye",
        (),
        lambda c, report: EndoSfM3D.installed(c.network, report),
        lambda c: find_weights(c.network.weights),
    ),
    DepthSourceKind(
        ShadingSource.name, "brightness of one eye", (), lambda c, _: ShadingSource(c.shading)
    ),
)
NAMES = (AUTO, *(kind.name for kind in KINDS))


class DepthSources:
    """Those that a configuration may use, made once.

    Args:
        config: `depth_source` names one, or all that can be made here.
        report: hears what is being built.

    Raises:
        ConfigurationError: an unknown source, or one that was asked for and cannot be made.
    """

    def __init__(self, config: EstimatorConfig, report: Report) -> None:
        wanted = config.depth_source
        if wanted not in NAMES:
            raise ConfigurationError(f"depth source '{wanted}': accepted are {', '.join(NAMES)}")
        self._made: dict[str, DepthSource] = {}
        self._missing: dict[str, str] = {}
        for kind in KINDS:
            if wanted not in (AUTO, kind.name):
                continue
            try:
                kind.require(config)
            except ConfigurationError as error:
                if wanted == kind.name:
                    raise
                self._missing[kind.name] = str(error)
                continue
            self._made[kind.name] = kind.make(config, report)
        self._passed_over = ""

    def __iter__(self) -> Iterator[DepthSource]:
        return iter(self._made.values())

    def best_for(self, frame: Frame) -> DepthSource:
        """The one that was asked for, or the best that this frame can feed."""
        self._passed_over = ""
        if len(self._made) == 1:
            (only,) = self._made.values()
            return only
        for kind in KINDS:
            if not kind.can_use(frame):
                continue
            if kind.name in self._made:
                return self._made[kind.name]
            self._passed_over = self._missing[kind.name]
        raise AssertionError("the last kind needs nothing")

    def note(self, chosen: DepthSource) -> list[str]:
        """Why the one that was chosen is not a better one."""
        if not self._passed_over:
            return []
        return [f"{self._passed_over}; until then depth from one eye comes from {chosen.name}"]
