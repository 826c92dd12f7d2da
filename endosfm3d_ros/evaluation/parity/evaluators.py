"""Both published evaluators against `eval_depth.npz` and `eval_pose.npz`."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from endosfm3d_ros.evaluation.metrics.depth import (
    SCALINGS,
    depth_errors,
    flip_blended,
    released_c3vd,
    released_scared,
)
from endosfm3d_ros.evaluation.metrics.intrinsics import released_scale_adjusted
from endosfm3d_ros.evaluation.metrics.pose import (
    accumulated,
    released_accumulation,
    released_errors,
    released_plot_accumulation,
    umeyama,
)
from endosfm3d_ros.evaluation.parity.check import Check, absolute, close
from endosfm3d_ros.evaluation.parity.golden import GoldenArrays, GoldenFolder
from endosfm3d_ros.networks.camera_motion import motion_matrix

RELATIVE = {"rtol": 1e-5, "atol": 1e-9}
EXACT = 1e-4  # errors of perfect motions are rounding; in units of the trajectory and degrees


def depth_checks(folder: GoldenFolder) -> Iterator[Check]:
    """Both depth protocols with both scalings, the measures alone, and flip blending."""
    golden = folder.arrays("eval_depth")
    sigmoid, reference = golden["sigmoid"], golden["gt_depth"]
    for scaling in SCALINGS:
        rows = np.array(released_scared(sigmoid, reference, scaling))
        name = f"scared_{scaling}_scaling"
        yield close(f"{name}_per_image", rows, golden[f"{name}_per_image_f64"], **RELATIVE)
        yield close(name, rows.mean(axis=0), golden[f"{name}_mean_f64"], **RELATIVE)
        name = f"c3vd_{scaling}_scaling"
        batch = np.array(released_c3vd(sigmoid, reference, scaling))
        yield close(name, batch, golden[f"{name}_batch_f64"], **RELATIVE)
    errors = depth_errors(golden["errors_pred_f64"], golden["errors_gt_f64"])
    yield close("errors", np.array(errors), golden["errors_f64"], **RELATIVE)
    blended = flip_blended(golden["flip_l_f64"], golden["flip_r_f64"])
    yield close("flip", blended, golden["flip_out_f64"], **RELATIVE)


def pose_checks(folder: GoldenFolder) -> Iterator[Check]:
    """Accumulations, trajectory errors and intrinsics errors."""
    golden = folder.arrays("eval_pose")
    for motion in ("exact", "noisy"):
        yield from accumulation_checks(golden, motion)
        yield from trajectory_checks(golden, motion)
    ours = released_scale_adjusted(golden["K_pred"], golden["K_gt_f64"])
    names = [str(name) for name in golden["intrinsics_error_names"]]
    values = np.array([ours.get(name, np.nan) for name in names])
    yield close("intrinsics", values, golden["intrinsics_error_values_f64"], **RELATIVE)


def accumulation_checks(golden: GoldenArrays, motion: str) -> Iterator[Check]:
    """Motions from network outputs, and both published ways of chaining them."""
    vectors = (torch.from_numpy(golden[f"{motion}_{n}"]) for n in ("axisangle", "translation"))
    T = golden[f"{motion}_T"]
    yield close(f"{motion}_T", motion_matrix(*vectors), T, rtol=1e-4, atol=1e-7)
    for name, chain, key in (
        ("released_accumulation", released_accumulation, "released_accumulation_positions_f64"),
        ("dump_trajectory", released_plot_accumulation, "dump_trajectory_f64"),
    ):
        positions = chain(T)[:, :3, 3]
        yield close(f"{motion}_{name}", positions, golden[f"{motion}_{key}"], **RELATIVE)
    true = golden["true_cam_to_world_f64"][:, :3, 3]
    plotted = released_plot_accumulation(T)[:, :3, 3]
    scale = (plotted * true).sum() / (plotted**2).sum()
    yield close(f"{motion}_scale_lsq", scale, golden[f"{motion}_scale_lsq_f64"], **RELATIVE)


def trajectory_checks(golden: GoldenArrays, motion: str) -> Iterator[Check]:
    """The published errors for three pairs of estimate and reference."""
    T, true = golden[f"{motion}_T"], golden["true_cam_to_world_f64"]
    released, corrected = released_accumulation(T), accumulated(T)[1:]
    true_motions = np.linalg.inv(true[1:]) @ true[:-1]
    alike = released_accumulation(true_motions)
    errors = "ate_rmse_std_rpe_mean_std"
    for name, key, estimate, reference in (
        ("ate_rpe", f"gt_cam_to_world_{errors}", released, true[1:]),
        ("alike_ate_rpe", f"gt_accumulated_like_reference_{errors}", released, alike),
        ("inverted_ate", f"inverted_accumulation_{errors}_scale", corrected, true[1:]),
    ):
        expected = golden[f"{motion}_{key}_f64"]
        values = [*released_errors(estimate, reference)]
        if len(expected) > len(values):
            positions = (poses[:, :3, 3] for poses in (estimate, reference))
            values.append(umeyama(*positions, with_scale=True).scale)
        ours = np.array(values)
        if motion == "exact":
            yield absolute(f"{motion}_{name}", ours, expected, EXACT)
        else:
            yield close(f"{motion}_{name}", ours, expected, **RELATIVE)
