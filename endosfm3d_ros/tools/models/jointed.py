"""Chooses the kind and the dimensions of an instrument by how well they fit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from endosfm3d_ros.tools.articulated.family import FAMILY, JAW, REFERENCE, Kind
from endosfm3d_ros.tools.articulated.model import SOURCE, JointedModel, jointed_model
from endosfm3d_ros.tools.models.capsule import CapsuleSource, mean_color
from endosfm3d_ros.tools.opjpo.jointed import JointedConfig, JointedFit, JointedRefiner
from endosfm3d_ros.tools.opjpo.jointed_search import SearchConfig, searched
from endosfm3d_ros.tools.opjpo.prepared import JointedPose, Prepared
from endosfm3d_ros.tools.shapes.capsule_fit import CapsuleConfig
from endosfm3d_ros.tools.types import ToolModel, ToolObservation, ToolPlacement


@dataclass(frozen=True)
class SelectionConfig:
    """How kinds are compared."""

    diameter: float = 0.008  # m, of the shafts of all kinds that are not made thinner
    stretched: int = 3  # kinds of which other lengths of the jaws are tried
    plausible: float = 0.06  # of merit below the best: such kinds are not excluded
    unusual: float = 0.02  # of merit, that jaws of another length must gain
    least: float = 0.5  # merit of the best kind, below which it is none of them
    hysteresis: float = 0.015  # of merit, that another model must gain
    resolution: int = 160  # px of the window's larger side
    reach: int = 12  # points along what another kind would reach
    search: SearchConfig = field(default_factory=SearchConfig)
    refine: JointedConfig = field(
        default_factory=lambda: JointedConfig(
            iterations=6, rotation=0.3, translation=0.2, joint=0.4
        )
    )


@dataclass(frozen=True)
class Candidate:
    """A model with its fit."""

    model: JointedModel
    fit: JointedFit


class ArticulatedSource:
    """Makes a jointed model of a mask of a shaft with a working end, where metric depth shows it.

    Without depth a silhouette says too little of so many joints: a capsule covers it better. It is
    also the answer where no kind fits.
    """

    name = SOURCE
    slow = True

    def __init__(self, config: SelectionConfig | None = None) -> None:
        self.config = config or SelectionConfig()
        self._capsule = CapsuleSource(CapsuleConfig(diameter=self.config.diameter))

    def model(self, observation: ToolObservation) -> ToolModel:
        """The kind that fits best, with the pose in which it does, or a capsule.

        Raises:
            InputError: the mask is too small, or fills the image.
        """
        if observation.tool_depth is None:
            return self._capsule.model(observation)
        model, merit = self._chosen(observation)
        return model if merit > self.config.least else self._capsule.model(observation)

    def better(
        self, observation: ToolObservation, model: ToolModel, placement: ToolPlacement
    ) -> ToolModel | None:
        """Another model that fits clearly better than the present one, or None.

        Args:
            observation: of now.
            model: the present one.
            placement: of it, in this or the last image.
        """
        if observation.tool_depth is None:
            return None
        found, merit = self._chosen(observation)
        now = self.config.least
        if isinstance(model, JointedModel):
            refiner = JointedRefiner(
                Prepared(model), observation, self.config.resolution, self.config.refine
            )
            now = refiner.run(JointedPose(placement.R, placement.t, placement.joints)).merit
        return found if merit > now + self.config.hysteresis else None

    def _chosen(self, observation: ToolObservation) -> tuple[JointedModel, float]:
        """The best model and its merit."""
        ranked = self.candidates(observation)
        best = ranked[0]
        others = [c for c in ranked[1:] if c.fit.merit > best.fit.merit - self.config.plausible]
        T = np.eye(4)
        T[:3, :3], T[:3, 3] = best.fit.pose.R, best.fit.pose.position
        color = np.full(best.model.vertices.shape, mean_color(observation), np.uint8)
        model = replace(
            best.model,
            birth=T,
            birth_joints=best.fit.pose.joints,
            maybe=self._reaches(best, others),
            colors=color,
        )
        return model, best.fit.merit

    def candidates(self, observation: ToolObservation) -> list[Candidate]:
        """All kinds with their best fits, best first."""
        found = []
        for kind in FAMILY:
            thin = kind.diameter != REFERENCE
            if thin and observation.tool_depth is None:
                continue  # only depth tells a thin shaft from a distant one
            found.append((kind, self._fitted(kind, 1.0, observation, None)))
        found.sort(key=lambda pair: -pair[1].fit.merit)
        ranked = [candidate for _, candidate in found]
        for kind, candidate in found[: self.config.stretched]:
            for stretch in kind.stretches:
                if stretch == 1.0:
                    continue
                other = self._fitted(kind, stretch, observation, candidate.fit.pose)
                merit = other.fit.merit - self.config.unusual
                ranked.append(Candidate(other.model, replace(other.fit, merit=merit)))
        return sorted(ranked, key=lambda candidate: -candidate.fit.merit)

    def _fitted(
        self,
        kind: Kind,
        stretch: float,
        observation: ToolObservation,
        start: JointedPose | None,
    ) -> Candidate:
        diameter = kind.diameter / REFERENCE * self.config.diameter
        model = jointed_model(kind, diameter, stretch)
        prepared = Prepared(model)
        if start is None:
            start = searched(prepared, observation, diameter, self.config.search).pose
        refiner = JointedRefiner(prepared, observation, self.config.resolution, self.config.refine)
        return Candidate(model, refiner.run(start))

    def _reaches(self, best: Candidate, others: list[Candidate]) -> np.ndarray:
        """(M, 3) where other kinds would be, in the link of the best one's first jaw."""
        turns, moves = best.model.linkage.links(best.fit.pose.joints)
        R = best.fit.pose.R @ turns[JAW]
        t = best.fit.pose.R @ moves[JAW] + best.fit.pose.position
        points = []
        for other in others:
            pose, linkage = other.fit.pose, other.model.linkage
            turns, moves = linkage.links(pose.joints)
            for link, tip in other.model.tips:
                share = np.linspace(0.3, 1.0, self.config.reach)[:, None]
                local = share * tip @ turns[link].T + moves[link]
                points.append(local @ pose.R.T + pose.position)
        if not points:
            return np.empty((0, 3))
        return (np.concatenate(points) - t) @ R
