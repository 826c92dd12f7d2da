"""How well models of instruments cover and resemble what the camera sees.

The clip's reference masks are given to the models and to the alignment, so that neither
segmentation nor identities have a say. Two protocols over the frames whose masks may be scored:

- clean: solid silhouettes (filled triangles) against the masks, without `ignore` and a band of
  3 px; pictures of the models within the bounding box of mask and silhouette;
- released: points of the models splatted one pixel each and dilated 5 x 5 against the masks, as
  evaluated by EndoLRMGS; pictures over the whole frame, with the mask painted white beforehand and
  gaps closed by inpainting. Black surroundings dominate these, so they look better than they are.

A frame's tools are scored together, for `iou_each_tool` one by one without the pixels of others; a
tool without a pose covers nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from time import perf_counter

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.evaluation.metrics.images import psnr, ssim
from endosfm3d_ros.evaluation.metrics.masks import scored_region
from endosfm3d_ros.evaluation.runs.tool_rendering import PlacedMesh, drawn, splatted
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.geometry.undistortion import Undistorter
from endosfm3d_ros.runtime.timing import StageClock
from endosfm3d_ros.sfm.estimator import Estimator, EstimatorConfig
from endosfm3d_ros.tools.labels import labels_at
from endosfm3d_ros.tools.models.mesh_file import MeshSource, model_of
from endosfm3d_ros.tools.models.source import ModelSource, model_source
from endosfm3d_ros.tools.opjpo import Aligner, make_aligner
from endosfm3d_ros.tools.shapes.silhouette import silhouette
from endosfm3d_ros.tools.stage import observe
from endosfm3d_ros.tools.tracking.tracker import ToolTracker
from endosfm3d_ros.tools.types import ToolModel, ToolObservation, ToolPlacement
from endosfm3d_ros.types import ScaleSource, SceneUpdate

PictureDistance = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class ToolsProtocol:
    """What is placed, and what the scores mean."""

    models: str = "capsule"  # articulated | capsule | mesh | lrm
    model_path: str = ""  # mesh file or weights folder
    alignment: str = "joint"  # joint | paper | none
    min_share: float = 0.0015  # of the image that a mask must have to be placed
    released_dilation: int = 5  # px, side of the square that a splatted point covers
    released_inpainting: int = 5  # px
    lpips: PictureDistance | None = None
    sfm: EstimatorConfig = field(default_factory=EstimatorConfig)


@dataclass(frozen=True)
class ToolsFrame:
    """What is kept of one frame for pictures."""

    i: int
    image: np.ndarray  # (H, W, 3) uint8 RGB
    mask: np.ndarray  # (H, W) bool, reference
    solid: np.ndarray  # (H, W) bool, silhouettes
    rendered: np.ndarray  # (H, W, 3) uint8 RGB on black


@dataclass
class ToolsResult:
    """Values per scored frame by measure, and times per placed tool."""

    columns: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    align_ms: list[float] = field(default_factory=list)
    pose_errors: list[tuple[float, float]] = field(default_factory=list)  # mm, deg per tool-frame
    source: str = ""
    notes: set[str] = field(default_factory=set)  # why a tool has no pose

    def add(self, **values: float) -> None:
        """Append what is a number."""
        for name, value in values.items():
            if not np.isnan(value):
                self.columns[name].append(float(value))


@dataclass
class _Followed:
    """One instrument over time; its shape is that of the first frame."""

    model: ToolModel
    aligner: Aligner
    last: ToolPlacement | None = None


def evaluate_tools(
    sequence: Sequence,
    protocol: ToolsProtocol | None = None,
    on_frame: Callable[[ToolsFrame], None] = lambda frame: None,
) -> ToolsResult:
    """Place models over a clip with its own masks and score them.

    Args:
        sequence: the clip; frames without reference masks are passed over.
        protocol: what to do.
        on_frame: called with every scored frame.

    Raises:
        ConfigurationError: an unknown model source or alignment, or missing files.
    """
    protocol = protocol or ToolsProtocol()
    source = model_source(protocol.models, protocol.model_path)
    result = ToolsResult(source=source.name)
    known = _true_models(sequence, protocol)
    for i, update, labels, ignore in _frames(sequence, protocol.sfm):
        frozen, remade = {}, {}
        for tool in np.unique(labels[labels > 0]).tolist():
            if np.count_nonzero((labels == tool) & ~ignore) < protocol.min_share * labels.size:
                continue
            observation = observe(tool, update)
            observation = replace(observation, occluder=observation.occluder | ignore)
            frozen[tool] = _followed(tool, observation, known, source, protocol, result)
            _score_pose(sequence.tool_poses(i).get(tool), known.get(tool), update, result)
            remade[tool] = _remade(observation, source, protocol)
        if sequence.mask_valid(i) and ((labels > 0) & ~ignore).any():
            _score_each(labels, ignore, frozen, update.depth.camera, result)
            placed, again = (
                [mesh for mesh in meshes.values() if mesh] for meshes in (frozen, remade)
            )
            on_frame(_score(i, update, labels > 0, ignore, placed, again, protocol, result))
    return result


def _true_models(sequence: Sequence, protocol: ToolsProtocol) -> dict[int, _Followed]:
    """The clip's own meshes by instrument, where meshes are asked for and it has some."""
    meshes = sequence.tool_meshes() if protocol.models == MeshSource.name else {}
    models = {tool: model_of(mesh.vertices, mesh.faces) for tool, mesh in meshes.items()}
    return {
        tool: _Followed(model, make_aligner(protocol.alignment, model))
        for tool, model in models.items()
    }


def _score_pose(
    truth: np.ndarray | None, followed: _Followed | None, update: SceneUpdate, result: ToolsResult
) -> None:
    """Mean distance of the vertices within the image to where they are, and the rotation's error.

    Only a mesh has the frame that the truth is given in, and only metric scenes have millimetres.
    """
    if truth is None or followed is None or followed.model.source != MeshSource.name:
        return
    placement = followed.last
    if update.depth.scale == ScaleSource.RELATIVE or placement is None or not placement.valid:
        return
    vertices = followed.model.vertices
    true = se3.transform(truth, vertices)
    pixels = update.depth.camera.project(true)
    shown = ((pixels >= 0) & (pixels < update.depth.camera.size)).all(axis=1) & (true[:, 2] > 0)
    apart = np.linalg.norm(placement.points(vertices) - true, axis=1)[shown]
    turn = Rotation.from_matrix(placement.R @ truth[:3, :3].T).magnitude()
    result.pose_errors.append((1e3 * float(apart.mean()), float(np.degrees(turn))))


def _frames(
    sequence: Sequence, sfm: EstimatorConfig
) -> Iterator[tuple[int, SceneUpdate, np.ndarray, np.ndarray]]:
    """(position, update, (h, w) uint8 labels, (h, w) bool ignore) in pixels of the depth map."""
    estimator, tracker, undistorter = Estimator(sfm), ToolTracker(), Undistorter()
    for i, frame in enumerate(sequence):
        labels = reference_labels(sequence, i, frame.stamp, tracker)
        update = estimator.estimate(replace(frame, tool_labels=labels), StageClock())
        if labels is None:
            continue
        ignore = sequence.ignore(i)
        ignore = np.zeros_like(labels) if ignore is None else ignore.astype(np.uint8)
        ignored = undistorter.apply(ignore, update.lens, exact=True)
        yield i, update, update.labels, labels_at(ignored, update.depth.camera.size) > 0


def reference_labels(
    sequence: Sequence, i: int, stamp: int, tracker: ToolTracker
) -> np.ndarray | None:
    """(H, W) uint8 instruments of a frame: the clip's, or its mask told apart by the tracker."""
    labels, mask = sequence.instances(i), sequence.mask(i)
    if labels is not None or mask is None:
        return labels
    return tracker.update(mask, stamp).labels


def _followed(
    tool: int,
    observation: ToolObservation,
    known: dict[int, _Followed],
    source: ModelSource,
    protocol: ToolsProtocol,
    result: ToolsResult,
) -> PlacedMesh | None:
    """The model of the first frame, placed in this one; times all but the first placement."""
    try:
        if tool not in known:
            model = source.model(observation)
            known[tool] = _Followed(model, make_aligner(protocol.alignment, model))
    except InputError as error:
        result.notes.add(str(error))
        return None
    followed = known[tool]
    start = perf_counter()
    placement = followed.aligner.place(observation, followed.last)
    if followed.last is not None:
        result.align_ms.append((perf_counter() - start) * 1e3)
    followed.last = placement
    if not placement.valid:
        result.notes.add(placement.reason)
        return None
    return PlacedMesh.of(followed.model.at(placement.joints), placement)


def _remade(
    observation: ToolObservation, source: ModelSource, protocol: ToolsProtocol
) -> PlacedMesh | None:
    """A model of this very frame, placed without any past: how EndoLRMGS treats every frame."""
    if source.name == "mesh":  # is the same in every frame
        return None
    try:
        model = source.model(observation)
    except InputError:
        return None
    placement = make_aligner(protocol.alignment, model).place(observation)
    return PlacedMesh.of(model.at(placement.joints), placement) if placement.valid else None


def _score_each(
    labels: np.ndarray,
    ignore: np.ndarray,
    meshes: dict[int, PlacedMesh | None],
    camera: PinholeCamera,
    result: ToolsResult,
) -> None:
    """Each tool's silhouette with its own mask; what others may hide is not looked at."""
    for tool, mesh in meshes.items():
        own = labels == tool
        region = scored_region(own, ignore | ((labels > 0) & ~own))
        solid = solid_union([mesh] if mesh else [], camera)
        result.add(iou_each_tool=overlap_within(solid, own, region))


def _score(
    i: int,
    update: SceneUpdate,
    mask: np.ndarray,
    ignore: np.ndarray,
    frozen: list[PlacedMesh],
    remade: list[PlacedMesh],
    protocol: ToolsProtocol,
    result: ToolsResult,
) -> ToolsFrame:
    """Every measure of one frame."""
    camera, shown = update.depth.camera, update.image * mask[..., None]
    region = scored_region(mask, ignore)
    solid = solid_union(frozen, camera)
    rendered = drawn(frozen, camera)
    box = bounding_box(mask | solid)
    inside = region[box]
    result.add(
        iou_mean=overlap_within(solid, mask, region),
        psnr=psnr(rendered[box], shown[box], inside),
        ssim=ssim(rendered[box], shown[box], inside),
    )
    if remade or not frozen:
        again = solid_union(remade, camera)
        result.add(iou_remade_each_frame=overlap_within(again, mask, region))
    picture, covered = released_picture(frozen, camera, mask, protocol)
    grey = [cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) for image in (picture, shown)]
    result.add(
        released_iou_mean=overlap_within(covered, mask, np.ones_like(mask)),
        released_psnr=psnr(picture, shown),
        released_ssim=ssim(*grey),
    )
    if protocol.lpips is not None:
        result.add(
            lpips=protocol.lpips(rendered[box], shown[box]),
            released_lpips=protocol.lpips(picture, shown),
        )
    return ToolsFrame(i, update.image, mask, solid, rendered)


def released_picture(
    meshes: list[PlacedMesh], camera: PinholeCamera, mask: np.ndarray, protocol: ToolsProtocol
) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) uint8 and (H, W) bool: splatted, on white where the mask is, gaps inpainted."""
    picture, points = splatted(meshes, camera)
    square = np.ones((protocol.released_dilation, protocol.released_dilation), np.uint8)
    covered = cv2.dilate(points.astype(np.uint8), square) > 0
    picture[mask & ~points] = 255
    gaps = (covered & ~points).astype(np.uint8)
    if gaps.any():
        picture = cv2.inpaint(picture, gaps, protocol.released_inpainting, cv2.INPAINT_TELEA)
    return picture, covered


def solid_union(meshes: list[PlacedMesh], camera: PinholeCamera) -> np.ndarray:
    """(H, W) bool: everything that some mesh covers."""
    covered = np.zeros((camera.height, camera.width), bool)
    for mesh in meshes:
        covered |= silhouette(mesh.points, mesh.faces, camera)
    return covered


def overlap_within(a: np.ndarray, b: np.ndarray, region: np.ndarray) -> float:
    """Intersection over union of two masks within a third; NaN where all is empty."""
    union = np.count_nonzero((a | b) & region)
    return np.count_nonzero(a & b & region) / union if union else float("nan")


def bounding_box(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns that hold every True pixel; at least one is True."""
    x, y, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return slice(y, y + height), slice(x, x + width)
