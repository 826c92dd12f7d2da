"""Whether what a mask calls an instrument is one: cues of each image, and belief over time."""

from endosfm3d_ros.tools.belief.belief import Belief, BeliefConfig, Believer
from endosfm3d_ros.tools.belief.cues import CueConfig, Cues, cues_of

__all__ = ["Belief", "BeliefConfig", "Believer", "CueConfig", "Cues", "cues_of"]
