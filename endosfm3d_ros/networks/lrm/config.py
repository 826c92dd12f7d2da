"""Sizes of the published models, and how they are read from `config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.networks.dinov2 import Dinov2Config

ENCODERS = {  # DINOv2 with four registers (Darcet et al. 2024); the last layer's tokens are used
    "dinov2_vits14_reg": Dinov2Config(width=384, heads=6, output_layers=(12,)),
    "dinov2_vitb14_reg": Dinov2Config(width=768, heads=12, output_layers=(12,)),
}


@dataclass(frozen=True)
class LrmConfig:
    """One variant; field names are those of OpenLRM's `config.json`."""

    encoder_model_name: str
    transformer_dim: int
    transformer_layers: int
    transformer_heads: int
    triplane_low_res: int
    triplane_high_res: int
    triplane_dim: int
    camera_embed_dim: int = 1024
    image_size: int = 336  # px, side of the input: a multiple of the patch of 14

    def __post_init__(self) -> None:
        if self.encoder_model_name not in ENCODERS:
            raise ConfigurationError(
                f"encoder {self.encoder_model_name}: accepted are {', '.join(ENCODERS)}"
            )
        if self.triplane_high_res != 2 * self.triplane_low_res:
            raise ConfigurationError(
                f"triplanes of {self.triplane_low_res} to {self.triplane_high_res} pixels: "
                "the published network doubles them"
            )

    @property
    def encoder(self) -> Dinov2Config:
        """Of the image encoder."""
        return ENCODERS[self.encoder_model_name]

    @classmethod
    def from_json(cls, content: Mapping[str, Any], image_size: int = 336) -> LrmConfig:
        """From the content of `config.json`; keys that do not change the network are ignored.

        Raises:
            ConfigurationError: a key is missing or its value is not accepted.
        """
        names = [name for name in cls.__dataclass_fields__ if name != "image_size"]
        missing = [name for name in names if name not in content]
        if missing:
            raise ConfigurationError(f"LRM configuration without {', '.join(missing)}")
        return cls(**{name: content[name] for name in names}, image_size=image_size)


LRM_SMALL = LrmConfig("dinov2_vits14_reg", 512, 12, 8, 32, 64, 32, image_size=224)
LRM_BASE = LrmConfig("dinov2_vitb14_reg", 768, 12, 12, 32, 64, 48)
LRM_LARGE = LrmConfig("dinov2_vitb14_reg", 1024, 16, 16, 32, 64, 80, image_size=448)
