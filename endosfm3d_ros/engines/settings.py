"""How engines are chosen, built and kept."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from endosfm3d_ros.errors import ConfigurationError


def default_cache_dir() -> Path:
    """`$ENDOSFM3D_CACHE`, or `endosfm3d` in the user's cache folder (XDG base directories)."""
    if chosen := os.environ.get("ENDOSFM3D_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "endosfm3d"


@dataclass(frozen=True)
class EngineSettings:
    """Options of `obtain_engine`.

    Raises:
        ConfigurationError: no back end is named, or `threads` is negative.
    """

    backends: tuple[str, ...] = ("openvino", "torch")  # in order of preference
    precision: str = "f32"  # f32 or bf16; torch always computes in f32
    threads: int = 0  # processor threads of one run; 0 leaves the choice to the back end
    cache_dir: Path = field(default_factory=default_cache_dir)

    def __post_init__(self) -> None:
        if not self.backends:
            raise ConfigurationError("no engine back end is named, at least one is needed")
        if self.threads < 0:
            raise ConfigurationError(f"{self.threads} engine threads: 0 or more are accepted")
