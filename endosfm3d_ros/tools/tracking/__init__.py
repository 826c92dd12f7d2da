"""Which instrument is which, from image to image."""

from endosfm3d_ros.tools.tracking.config import TrackerConfig
from endosfm3d_ros.tools.tracking.tracker import ToolTracker
from endosfm3d_ros.tools.tracking.types import ToolTracks, TrackedTool

__all__ = ["ToolTracker", "ToolTracks", "TrackedTool", "TrackerConfig"]
