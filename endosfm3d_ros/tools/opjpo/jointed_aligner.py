"""Places a jointed model in one image after another."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.tools.articulated.model import JointedModel
from endosfm3d_ros.tools.opjpo.jointed import JointedConfig, JointedFit, JointedRefiner
from endosfm3d_ros.tools.opjpo.jointed_search import SearchConfig, searched
from endosfm3d_ros.tools.opjpo.prepared import DOF, JointedPose, Prepared
from endosfm3d_ros.tools.opjpo.scale import Scale
from endosfm3d_ros.tools.opjpo.trust import TrustConfig, contradiction, doubts, unusable
from endosfm3d_ros.tools.types import ToolObservation, ToolPlacement


@dataclass(frozen=True)
class JointedAlignerConfig:
    """Sizes and limits."""

    resolution: int = 160  # px of the window's larger side
    lost: float = 0.6  # overlap below which the tool is searched anew ..
    drop: float = 0.08  # .. if it fell by this much since the last image
    patience: int = 5  # images between two searches
    size: float = 0.015  # 1 sigma of the diameter, over it
    tracking: JointedConfig = field(default_factory=JointedConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    trust: TrustConfig = field(default_factory=lambda: TrustConfig(min_iou=0.55))


class JointedAligner:
    """Keeps the prepared model, and how long ago it was searched for.

    Args:
        model: of one instrument.
        config: settings.
    """

    def __init__(self, model: JointedModel, config: JointedAlignerConfig | None = None) -> None:
        self.model, self.config = model, config or JointedAlignerConfig()
        self.prepared = Prepared(model)
        self._pause = 0

    def place(
        self, observation: ToolObservation, previous: ToolPlacement | None = None
    ) -> ToolPlacement:
        """The model in this image, tracked from `previous` where that is a valid placement.

        A mask or depth that cannot be used gives a placement that says so; nothing is raised.
        """
        if reason := unusable(observation, self.config.trust):
            return ToolPlacement.nowhere(reason, observation.stamp)
        known = previous is not None and previous.valid
        start = JointedPose(previous.R, previous.t, previous.joints) if known else self.birth()
        fits = []
        if start is not None:
            refiner = JointedRefiner(
                self.prepared, observation, self.config.resolution, self.config.tracking
            )
            fits.append(refiner.run(start))
        before = previous.iou if known else 1.0
        if not fits or self._lost(fits[0], before):
            fits += self._found(observation)
        if not fits:
            return ToolPlacement.nowhere("no pose fits the mask", observation.stamp)
        return self._settled(max(fits, key=lambda fit: fit.merit), observation)

    def birth(self) -> JointedPose | None:
        """The pose in the image that the model was made from."""
        T = self.model.birth
        return None if T is None else JointedPose(T[:3, :3], T[:3, 3], self.model.birth_joints)

    def _lost(self, fit: JointedFit, before: float) -> bool:
        """Whether a search may help: not where one has just failed to."""
        self._pause = max(0, self._pause - 1)
        limit = min(self.config.lost, before - self.config.drop)
        return fit.iou < limit and not self._pause

    def _found(self, observation: ToolObservation) -> list[JointedFit]:
        self._pause = self.config.patience
        try:
            fit = searched(self.prepared, observation, self.model.diameter, self.config.search)
        except InputError:
            return []
        refiner = JointedRefiner(
            self.prepared, observation, self.config.resolution, self.config.tracking
        )
        return [refiner.run(fit.pose)]

    def _settled(self, fit: JointedFit, observation: ToolObservation) -> ToolPlacement:
        """The placement with its uncertainty and doubts."""
        config, pose = self.config, fit.pose
        covariance = self._covariance(fit)
        deviation = float(np.sqrt(covariance[5, 5])) / pose.position[2]
        scale = Scale(1.0, config.size)
        reason = contradiction(fit.gap, config.trust) or doubts(
            observation, fit.iou, pose.R[:, 2], pose.position, deviation, scale, config.trust
        )
        return ToolPlacement(
            R=pose.R,
            t=pose.position,
            scale=1.0,
            iou=fit.iou,
            covariance=covariance[:6, :6],
            scale_deviation=config.size,
            trusted=not reason,
            reason=reason,
            stamp=observation.stamp,
            joints=pose.joints,
            full_covariance=covariance,
        )

    def _covariance(self, fit: JointedFit) -> np.ndarray:
        """(9, 9) of rotation (rad), the shaft's end (m) and joints (rad)."""
        tracking, linkage = self.config.tracking, self.model.linkage
        firm = np.repeat([tracking.rotation, tracking.translation, tracking.joint], 3) ** -2.0
        firm[6:] = linkage.spread**-2.0
        free = np.concatenate([np.ones(6, bool), linkage.free])
        step = np.zeros((DOF, DOF))
        matrix = fit.information + np.diag(firm)
        step[np.ix_(free, free)] = np.linalg.inv(matrix[np.ix_(free, free)])
        metres = np.repeat([1.0, fit.pose.position[2], 1.0], 3)
        radial = np.concatenate([np.zeros(3), fit.pose.position, np.zeros(3)])
        return step * np.outer(metres, metres) + self.config.size**2 * np.outer(radial, radial)
