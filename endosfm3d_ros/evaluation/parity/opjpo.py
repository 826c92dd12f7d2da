"""The alignment against `opjpo.npz`: the published one array by array, the default by its aim."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, takewhile

import numpy as np

from endosfm3d_ros.evaluation.parity.check import Check, absolute, close, unpacked_mask
from endosfm3d_ros.evaluation.parity.golden import GoldenArrays, GoldenFolder
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.geometry.se3 import transform
from endosfm3d_ros.tools.models.lrm.frame import SOURCE_DISTANCE, lrm_to_optical, source_view
from endosfm3d_ros.tools.opjpo.joint import JointAligner
from endosfm3d_ros.tools.opjpo.paper import (
    PaperConfig,
    exhaustive_search,
    orthographic_scale,
    tissue_points,
)
from endosfm3d_ros.tools.shapes.silhouette import overlap, silhouette
from endosfm3d_ros.tools.types import ToolModel, ToolObservation

RELATIVE = {"rtol": 1e-6, "atol": 1e-12}
RELEASED = PaperConfig(depth_range=(-5.0, 15.0), released_hull_perimeter=True)  # millimetres
IOU = 1e-3
AIM_MISSED = 0.05  # of the default's silhouette overlap to one
AIM_POSITION = 0.02  # of its position over scale
MILLIMETRE = 1e-3


def checks(folder: GoldenFolder) -> Iterator[Check]:
    """All cases."""
    golden = folder.arrays("opjpo")
    yield from case_checks(golden, "case0_")
    others = takewhile(
        lambda case: f"{case}vertices_lrm" in golden, (f"case{i}_" for i in count(1))
    )
    for case in others:
        yield from case_checks(golden, case)


def case_checks(golden: GoldenArrays, case: str) -> Iterator[Check]:
    """Scale and search as released, then the default alignment."""
    depth = golden[f"{case}depth_u16"] / float(golden[f"{case}depth_scale"])
    height, width = depth.shape
    camera = PinholeCamera.from_matrix(golden["K_f64"], width, height)
    mask = unpacked_mask(golden[f"{case}mask_bits"], height, width)[0, 0]
    optical = lrm_to_optical(golden[f"{case}vertices_lrm"])
    faces = golden[f"{case}faces"].astype(np.int32)
    posed = transform(source_view(), optical.astype(np.float64))
    tissue = tissue_points(mask, depth, camera)
    yield from scale_checks(golden, case, posed, tissue)
    yield from search_checks(golden, case, (posed, faces), mask, camera)
    metres = (depth * MILLIMETRE).astype(np.float32)
    model = ToolModel(
        optical, faces, np.zeros(optical.shape, np.uint8), "lrm", False, source_view()
    )
    yield from default_checks(golden, case, model, ToolObservation(mask, camera, metres))


def scale_checks(
    golden: GoldenArrays, case: str, posed: np.ndarray, tissue: np.ndarray
) -> Iterator[Check]:
    """Everything up to the scale; (V, 3) tool in model units, (N, 3) tissue in millimetres."""
    extremes = np.stack([tissue.min(axis=0), tissue.max(axis=0)])
    expected = golden[f"{case}tissue_points_minmax_f64"]
    yield close(f"{case}tissue_points_minmax", extremes, expected, **RELATIVE)
    scale = orthographic_scale(posed, tissue, RELEASED)
    areas = orthographic_scale(posed, tissue, PaperConfig())
    released = scale.M_ortho.copy()  # as released, the translation stands in the last row
    released[3, :3], released[:3, 3] = scale.M_ortho[:3, 3], 0
    for name, ours, key in (
        ("M_ortho", released, "M_ortho_f64"),
        ("bbox_area", np.array(scale.box_areas), "bbox_area_tissue_tool_f64"),
        ("hull_value", np.array(scale.hull_sizes), "hull_value_tissue_tool_f64"),
        ("hull_true_area", np.array(areas.hull_sizes), "hull_true_area_tissue_tool_f64"),
        ("s0", scale.s0, "s0_f64"),
        ("s1", scale.s1, "s1_f64"),
        ("s", scale.s, "s_f64"),
    ):
        yield close(f"{case}{name}", ours, golden[f"{case}{key}"], **RELATIVE)


def search_checks(
    golden: GoldenArrays,
    case: str,
    mesh: tuple[np.ndarray, np.ndarray],
    mask: np.ndarray,
    camera: PinholeCamera,
) -> Iterator[Check]:
    """The exhaustive search from the golden scale, and the overlap of its solid silhouette."""
    vertices, faces = mesh
    scaled = float(golden[f"{case}s_f64"]) * vertices
    found = exhaustive_search(scaled, mask, camera, RELEASED)
    solid = overlap(silhouette(scaled + found.translation, faces, camera), mask)
    for name, ours, tolerance in (
        ("search_half_range_xy", found.half_range_xy, None),
        ("initial_iou", found.initial_iou, IOU),
        ("best_translation", found.translation, None),
        ("best_iou", found.iou, IOU),
        ("best_silhouette_iou", solid, IOU),
    ):
        expected = golden[f"{case}{name}_f64"]
        if tolerance is None:
            yield close(f"{case}{name}", ours, expected, **RELATIVE)
        else:
            yield absolute(f"{case}{name}", ours, expected, tolerance)
    index = golden[f"{case}best_grid_index"]
    yield absolute(f"{case}best_grid_index", np.array(found.index), index, 0)


def default_checks(
    golden: GoldenArrays, case: str, model: ToolModel, observation: ToolObservation
) -> Iterator[Check]:
    """The default alignment against the true pose; only the ratio of t and scale is observable."""
    placement = JointAligner(model).place(observation)
    posed = placement.points(model.vertices)
    iou = overlap(silhouette(posed, model.faces, observation.camera), observation.mask)
    yield Check(f"{case}default_silhouette_iou", 1 - iou, AIM_MISSED)
    true_R, true_t = golden[f"{case}true_R_f64"], golden[f"{case}true_t_f64"]
    true = true_t / float(golden[f"{case}true_scale_f64"]) + SOURCE_DISTANCE * true_R[:, 2]
    error = np.linalg.norm(placement.t / placement.scale - true) / np.linalg.norm(true)
    yield Check(f"{case}default_position_over_scale", float(error), AIM_POSITION)
