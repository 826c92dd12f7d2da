"""Where the instruments are in an image, from one of several sources behind one interface."""

from endosfm3d_ros.tools.segmentation.sources import SOURCES, MaskSource, mask_source
from endosfm3d_ros.tools.segmentation.types import PARTS, ToolMask

__all__ = ["PARTS", "SOURCES", "MaskSource", "ToolMask", "mask_source"]
