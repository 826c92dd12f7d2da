"""What the tool stages hand to each other. Frozen; arrays inside are never written to.

A model lives in a frame of its own with optical axes (x right, y down, z away from the viewer)
and its unit: metres, or the unit of the reconstruction model, whose scale only a placement knows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

import cv2
import numpy as np

from endosfm3d_ros.errors import InputError
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tools.shapes.surface_points import SurfacePoints


@dataclass(frozen=True)
class ToolModel:
    """A triangle mesh of one instrument.

    Raises:
        InputError: arrays of other shapes, no triangle, a vertex that is not finite, or a
            triangle that names a vertex which does not exist.
    """

    vertices: np.ndarray  # (V, 3) float32 model units
    faces: np.ndarray  # (F, 3) int32
    colors: np.ndarray  # (V, 3) uint8 RGB
    source: str  # lrm | mesh | capsule
    metric: bool  # True: the model unit is the metre
    birth: np.ndarray | None = None  # (4, 4) model to the camera it was made from, model units
    pivot: np.ndarray | None = None  # (3,) about which it is turned; the box's middle if None
    approximate: bool = False  # True: only roughly the tool's shape, so its outline may mislead
    end: np.ndarray | None = None  # (E, 3) points of the working end; None where it is not known
    possible: np.ndarray | None = None  # (M, 3) points that it would have if it were another kind
    tip: np.ndarray | None = None  # (3,) middle of the ends of the jaws; None where not known
    kind: str = ""  # of instrument, where the model knows
    links: tuple[tuple[ToolModel, np.ndarray], ...] = ()  # rigid parts and their (4, 4) in it

    def __post_init__(self) -> None:
        vertices, faces = self.vertices, self.faces
        if vertices.ndim != 2 or vertices.shape[1:] != (3,) or self.colors.shape != vertices.shape:
            raise InputError(
                f"model with vertices {vertices.shape} and colours {self.colors.shape}: "
                "both must be (V, 3)"
            )
        if faces.ndim != 2 or faces.shape[1:] != (3,) or not len(faces):
            raise InputError(f"model with faces {faces.shape}: (F, 3) with F > 0 is accepted")
        if not np.isfinite(vertices).all():
            raise InputError("model with vertices that are not finite numbers")
        if faces.min() < 0 or faces.max() >= len(vertices):
            raise InputError(
                f"model with faces of vertex {faces.min()} to {faces.max()}: "
                f"0 to {len(vertices) - 1} are accepted"
            )

    @cached_property
    def centre(self) -> np.ndarray:
        """(3,) float64 pivot: as given, or the middle of the bounding box."""
        if self.pivot is not None:
            return self.pivot
        return (self.vertices.min(axis=0) + self.vertices.max(axis=0)).astype(np.float64) / 2

    @cached_property
    def extent(self) -> float:
        """Diagonal of the bounding box in model units."""
        return float(np.linalg.norm(np.ptp(self.vertices, axis=0)))

    def at(self, joints: np.ndarray) -> ToolModel:
        """What it is at joint angles (J,), rad; a rigid model is always the same."""
        return self

    @cached_property
    def surface(self) -> SurfacePoints:
        """Points all over the mesh, in model units."""
        return SurfacePoints.of_mesh(self.vertices, self.faces, self.colors)


@dataclass(frozen=True)
class ToolObservation:
    """One tool in one image.

    Raises:
        InputError: an array that has not the size of the camera.
    """

    mask: np.ndarray  # (H, W) bool: this tool
    camera: PinholeCamera  # undistorted
    tissue_depth: np.ndarray | None = None  # (H, W) float32 m of the tissue behind, NaN unknown
    tool_depth: np.ndarray | None = None  # (H, W) float32 m measured on the tool, NaN unknown
    occluder: np.ndarray | None = None  # (H, W) bool: other tools, which may hide this one
    image: np.ndarray | None = None  # (H, W, 3) uint8 RGB
    stamp: int = 0  # ns

    def __post_init__(self) -> None:
        expected = (self.camera.height, self.camera.width)
        for name in ("mask", "tissue_depth", "tool_depth", "occluder", "image"):
            value = getattr(self, name)
            if value is not None and value.shape[:2] != expected:
                raise InputError(
                    f"tool {name} of {value.shape[1]}x{value.shape[0]} pixels: the camera has "
                    f"{self.camera.width}x{self.camera.height}"
                )

    @cached_property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(np.count_nonzero(self.mask))

    @cached_property
    def box(self) -> tuple[int, int, int, int]:
        """x, y, width and height of the mask, px."""
        return tuple(cv2.boundingRect(self.mask.astype(np.uint8)))


@dataclass(frozen=True)
class ToolPlacement:
    """Where a model is: `X_camera = scale * R @ X_model + t`.

    A placement that is not trusted carries the best pose there is, or NaN, and the reason.
    """

    R: np.ndarray  # (3, 3)
    t: np.ndarray  # (3,) metres
    scale: float  # metres per model unit
    iou: float  # of the solid silhouette with the mask
    covariance: np.ndarray  # (6, 6) rotation vector (rad), model centre (m), in the camera frame
    scale_deviation: float  # 1 sigma of the scale over the scale
    trusted: bool
    reason: str = ""  # why not trusted
    stamp: int = 0  # ns
    joints: np.ndarray = field(default_factory=lambda: np.empty(0))  # (J,) rad; none of rigid ones
    full_covariance: np.ndarray | None = None  # (6 + J, 6 + J): as `covariance`, then the joints

    @classmethod
    def nowhere(cls, reason: str, stamp: int = 0) -> ToolPlacement:
        """The answer where no pose can be given."""
        nan = np.full((6, 6), np.nan)
        return cls(np.eye(3), nan[0, :3], np.nan, 0.0, nan, np.inf, False, reason, stamp)

    def rescaled(self, factor: float) -> ToolPlacement:
        """The same view of a model whose size is not known, in a world larger by a factor."""
        lengths = np.diag([1.0] * 3 + [factor] * 3)
        return replace(
            self, t=factor * self.t, scale=factor * self.scale,
            covariance=lengths @ self.covariance @ lengths,
        )  # fmt: skip

    @property
    def valid(self) -> bool:
        """Whether there is a pose at all."""
        return bool(np.isfinite(self.t).all())

    def points(self, model_points: np.ndarray) -> np.ndarray:
        """(N, 3) points of the model frame in the camera frame, metres."""
        return model_points @ (self.scale * self.R.T) + self.t
