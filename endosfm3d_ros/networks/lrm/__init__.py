"""The large reconstruction model: one image of an object to a triplane of density and colour.

Re-implementation of OpenLRM (He and Wang 2023, after Hong et al. 2024), which reads its published
`model.safetensors`. The weights are the user's: those that OpenLRM publishes are CC BY-NC 4.0.
"""

from endosfm3d_ros.networks.lrm.checkpoint import load_lrm, load_radiance, lrm_network
from endosfm3d_ros.networks.lrm.config import LRM_BASE, LRM_LARGE, LRM_SMALL, LrmConfig
from endosfm3d_ros.networks.lrm.network import LrmNetwork
from endosfm3d_ros.networks.lrm.radiance import Radiance

__all__ = [
    "LRM_BASE",
    "LRM_LARGE",
    "LRM_SMALL",
    "LrmConfig",
    "LrmNetwork",
    "Radiance",
    "load_lrm",
    "load_radiance",
    "lrm_network",
]
