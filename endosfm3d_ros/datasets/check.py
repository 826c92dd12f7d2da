"""What is there to say about a recording before anybody relies on it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import monotonic

import numpy as np

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.errors import InputError
from endosfm3d_ros.inputs import plausibility
from endosfm3d_ros.inputs.epipolar import PairFit, pair_fit
from endosfm3d_ros.inputs.judging import WIDTH, rows_limit
from endosfm3d_ros.inputs.packing import looks_packed
from endosfm3d_ros.inputs.report import Entry, InputReport
from endosfm3d_ros.sfm.depth.rectifier import Rectifier
from endosfm3d_ros.types import Frame

BUDGET = 5.0  # s for reading frames
LOOKS = 6  # frames that are looked at closely, spread over what can be read in time
GAP, JITTER = 1.9, 0.2  # of the usual interval
DARK = 12  # grey level below which nine pixels of ten show nothing
EXCHANGED = 0.3  # share of matches in front of the camera


def facts(sequence: Sequence) -> Iterator[tuple[str, str]]:
    """What the recording is, as (name, value)."""
    yield "frames", f"{len(sequence)} at {sequence.fps:g} Hz"
    camera = sequence.camera
    if camera is None:
        yield "camera", "not calibrated: it will be estimated"
    else:
        yield "size", f"{camera.width} x {camera.height} px"
        yield (
            "camera",
            f"fx {camera.fx:.1f}, fy {camera.fy:.1f}, cx {camera.cx:.1f}, cy {camera.cy:.1f} px: "
            f"{plausibility.field_of_view(camera):.0f} degrees, "
            f"{f'{camera.lens} lens with ' if camera.distorted else 'without '}distortion",
        )
    if sequence.stereo is not None:
        yield "pair", f"baseline {sequence.stereo.baseline * 1e3:.2f} mm"


def findings(sequence: Sequence, budget: float = BUDGET) -> list[Entry]:
    """Everything worth saying, worst first; `budget` bounds the seconds of reading."""
    report = InputReport()
    name = sequence.name
    _check_cameras(sequence, report)
    fits, stamps, dark, pictures = [], [], 0, 0
    for i, frame, close in _frames(sequence, budget):
        stamps.append((i, frame.stamp))
        if not close:
            continue
        pictures += 1
        dark += bool((frame.image.max(axis=-1) <= DARK).mean() > 0.9)
        _check_picture(name, frame, report)
        _check_reference(sequence, i, report)
        if frame.stereo is not None and frame.right_image is not None:
            fits.append(_fit(frame))
    width = min(WIDTH, sequence.camera.width) if sequence.camera is not None else WIDTH
    _check_fits(name, [fit for fit in fits if fit is not None], width, report)
    _check_stamps(sequence, [stamp for _, stamp in stamps], report)
    if pictures and dark == pictures:
        report.refused(name, "dark", f"all {pictures} pictures that were looked at are black")
    own = getattr(sequence, "report", None)
    entries = [*(own.entries if own is not None else ()), *report.entries]
    return sorted(entries, key=lambda entry: -entry.severity)


def _frames(sequence: Sequence, budget: float) -> Iterator[tuple[int, Frame, bool]]:
    """(position, frame, whether to look closely) until all are read or time is out."""
    start, step = monotonic(), max(1, len(sequence) // LOOKS)
    looked = 0
    for i, frame in enumerate(sequence):
        late = monotonic() - start > budget
        close = i % step == 0 or (late and looked < 2)
        looked += close
        yield i, frame, close
        if late:
            return


def _attempt(check: Callable[[], object], report: InputReport, topic: str, key: str) -> None:
    try:
        check()
    except InputError as error:
        report.refused(topic, key, str(error))


def _check_cameras(sequence: Sequence, report: InputReport) -> None:
    if sequence.camera is not None:
        for key, check in {
            "view": plausibility.require_view,
            "lens": plausibility.require_invertible,
        }.items():
            _attempt(lambda check=check: check(sequence.camera), report, sequence.name, key)
    if sequence.stereo is not None:
        baseline = sequence.stereo.baseline
        _attempt(lambda: plausibility.require_baseline(baseline), report, sequence.name, "baseline")


def _check_picture(name: str, frame: Frame, report: InputReport) -> None:
    layout = None if frame.right_image is not None else looks_packed(frame.image)
    if layout is not None:
        report.missing(
            name,
            "packing",
            f"pictures of {frame.image.shape[1]}x{frame.image.shape[0]} look like both eyes "
            f"{layout.replace('_', ' ')}",
            f"--input image_layout={layout} splits them; live, the parameter image_layout",
        )


def _check_reference(sequence: Sequence, i: int, report: InputReport) -> None:
    """The references of one frame: readable, of the size of the image, of an endoscope's depth."""
    name = sequence.name
    try:
        depth, pose = sequence.reference_depth(i), sequence.reference_pose(i)
        sequence.mask(i)
    except InputError as error:
        report.refused(name, "reference", str(error))
        return
    if depth is not None and not np.isfinite(depth).any():
        report.missing(
            name, "empty depth", f"reference depth of frame {i} has no value above 0",
            "integers count millimetres (REP 118), or depth_unit_mm of the camera file",
        )  # fmt: skip
    elif depth is not None:
        median = float(np.nanmedian(depth)) * 1e3
        if not plausibility.DEPTH.holds(median):
            report.refused(
                name, "depth", f"reference depth has a median of {median:g} mm in frame {i}: "
                f"{plausibility.DEPTH} are accepted", "name its unit in the camera file",
            )  # fmt: skip
    if pose is not None and not np.allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-3):
        report.refused(name, "pose", f"reference pose of frame {i} has no rotation")


def _fit(frame: Frame) -> PairFit | None:
    height, width = frame.image.shape[:2]
    scale = min(1.0, WIDTH / width)
    rectifier = Rectifier(frame.stereo, round(width * scale), round(height * scale))
    eyes = rectifier.rectify(frame.image, frame.right_image)
    return pair_fit(*eyes, rectifier.disparity_offset)


def _check_fits(name: str, fits: list[PairFit], width: int, report: InputReport) -> None:
    """Rows and order of the eyes in images of this width, over all pairs that were looked at."""
    if not fits:
        return
    limit = rows_limit(width)
    rows = float(np.median([fit.rows for fit in fits]))
    forward = float(np.median([fit.forward for fit in fits]))
    count = sum(fit.count for fit in fits)
    if forward < EXCHANGED:
        report.refused(
            name, "eyes", f"only {forward:.0%} of {count} matches lie in front of the camera",
            "exchange left and right",
        )  # fmt: skip
    elif rows > limit:
        report.refused(
            name, "rows", f"{count} matches lie {rows:.1f} px off their rows (median of "
            f"{len(fits)} pairs, {width} px wide); {limit:.1f} are accepted",
            "calibrate anew, or give the calibration of these images",
        )  # fmt: skip
    elif rows > limit / 2:
        report.assumed(
            name, "rows", f"matches lie {rows:.1f} px off their rows; {limit:.1f} are accepted"
        )


def _check_stamps(sequence: Sequence, stamps: list[int], report: InputReport) -> None:
    """Gaps, and times that are no multiples of the frame period."""
    steps, period = np.diff(stamps) * 1e-6, 1e3 / sequence.fps
    if len(steps) < 3:
        return
    usual = max(period, float(np.median(steps)))
    if usual > GAP * period:
        report.assumed(
            sequence.name,
            "rate",
            f"one frame in {usual / period:.0f} of {sequence.fps:.4g} Hz is there: "
            f"{1e3 / usual:.4g} Hz",
        )
    gaps = int((steps > GAP * usual).sum())
    scatter = float(np.median(np.abs(steps - np.maximum(1, np.rint(steps / period)) * period)))
    if gaps:
        report.assumed(
            sequence.name,
            "gaps",
            f"{gaps} {'gap' if gaps == 1 else 'gaps'} in {len(stamps)} frames, the longest of "
            f"{steps.max():.0f} ms at {usual:.0f} ms a frame: stamps are kept as they are",
        )
    if scatter > JITTER * period:
        report.assumed(
            sequence.name,
            "jitter",
            f"intervals scatter by {scatter:.0f} ms at {period:.0f} ms a frame: the rate varies, "
            "or stamps are those of arrival",
            "let the driver stamp the moment of exposure",
        )
