"""Where this user's files lie: data (weights, maps), and what can be rebuilt."""

from __future__ import annotations

import os
from pathlib import Path

APPLICATION = "endosfm3d"
CACHE_VARIABLE = "ENDOSFM3D_CACHE"


def data_folder() -> Path:
    """`endosfm3d` in the user's data folder (`$XDG_DATA_HOME`, or `~/.local/share`)."""
    import platformdirs

    return platformdirs.user_data_path(APPLICATION)


def cache_folder() -> Path:
    """`$ENDOSFM3D_CACHE`, or `endosfm3d` in the user's cache folder (`$XDG_CACHE_HOME`)."""
    import platformdirs

    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen) if chosen else platformdirs.user_cache_path(APPLICATION)


def map_folder(chosen: str = "") -> Path:
    """Where maps are saved and loaded: as chosen (`~` is expanded), or `maps` among the data."""
    return Path(os.path.expanduser(chosen)) if chosen else data_folder() / "maps"
