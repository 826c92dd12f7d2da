"""How well the tissue map predicts, fits, remembers and hides instruments.

Protocols, all over tissue pixels (no instrument, no `ignore`, 3 px away from the mask's edge) at
the size of the image:
- P1: every 8th frame, (i - 1) % 8 == 0, is only predicted and tracked, then rendered and scored;
- P2: every other frame, rendered after it was fused;
- P3: the same frames as points, projected with a z-buffer, closed 3 x 3, both images blurred
  (5 x 5, sigma 0.5) and cut by 10 % at each side: the published point protocol of EndoLRMGS;
- P4: after the last frame the map is rewound to each remembered frame, rendered and scored;
- persistence: the last image in place of a P1 render; `persistence_whole_p1_psnr` is that over
  whole frames, instruments included, with the squared errors of all frames pooled;
- contamination: what instruments leave in the map's colours, on clips that are also known without
  them: mean absolute difference, 0..255, within 20 px of instruments and where one was within the
  last second, of P1 and P2 renders against the picture without instruments;
- hidden: in a run of its own a disc moves over the clip, is declared an instrument for 25 frames
  and its pixels are withheld; scored inside, beside push-pull inpainting of the same image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import cv2
import numpy as np

from endosfm3d_ros.datasets.sequence import Sequence
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.evaluation.metrics.contamination import NearTools, contamination
from endosfm3d_ros.evaluation.metrics.images import psnr, ssim
from endosfm3d_ros.evaluation.metrics.masks import scored_region
from endosfm3d_ros.evaluation.metrics.resampling import depth_on_image
from endosfm3d_ros.evaluation.runs.tissue_protocol import TissueFrame, TissueProtocol, TissueResult
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.geometry.clouds import lift
from endosfm3d_ros.geometry.undistortion import Undistorter
from endosfm3d_ros.runtime.timing import Slack, StageClock
from endosfm3d_ros.sfm.config import EstimatorConfig
from endosfm3d_ros.sfm.estimator import Estimator
from endosfm3d_ros.tissue.appearance.rendering import Rendering
from endosfm3d_ros.tissue.coverage.inpainting import push_pull
from endosfm3d_ros.tissue.map import TissueMap
from endosfm3d_ros.tissue.store.snapshot import as_bytes
from endosfm3d_ros.tools.labels import labels_at
from endosfm3d_ros.types import Frame, SceneUpdate

OnPicture = Callable[[TissueFrame], None]


class Pace:
    """The time that the map has in a live run at the rate of the clip.

    Args:
        budget: s of one update, beside what the other stages leave idle; None: offline.
    """

    def __init__(self, budget: float | None) -> None:
        self._budget = budget
        self._slack = Slack()
        self._stamp: int | None = None

    @property
    def budget(self) -> float | None:
        """Seconds for the next update."""
        return None if self._budget is None else self._budget + self._slack.seconds

    def done(self, update: SceneUpdate, milliseconds: float) -> None:
        """Note how long the map took for an update, beside the stages before it."""
        stamp = update.frame.stamp
        if self._stamp is not None:
            busy = 1e-3 * (sum(update.timings.values()) + milliseconds)
            self._slack.waited(max(0.0, (stamp - self._stamp) * 1e-9 - busy))
        self._stamp = stamp


def evaluate_tissue(
    sequence: Sequence,
    protocol: TissueProtocol | None = None,
    on_picture: OnPicture = lambda frame: None,
) -> TissueResult:
    """Run every protocol over a clip with its own instrument masks as labels.

    Args:
        sequence: the clip; it is read twice.
        protocol: what to do.
        on_picture: called with every scored frame of the first run and of the hidden disc.

    Raises:
        ConfigurationError: a clip of fewer than two frames.
    """
    if len(sequence) < 2:
        raise ConfigurationError(f"{sequence.name} has {len(sequence)} frames: 2 are the least")
    protocol = protocol or TissueProtocol()
    result = TissueResult()
    _run_held_out(sequence, protocol, result, on_picture)
    _run_hidden(sequence, protocol, result, on_picture)
    return result


def is_held_out(i: int, every: int) -> bool:
    """Whether P1 predicts the frame at position `i`; the first frame starts the map."""
    return i > 0 and (i - 1) % every == 0


def reproject(view: Rendering, camera: PinholeCamera) -> np.ndarray:
    """(H, W, 3) uint8: rendered colour and depth as points, projected with a z-buffer, closed."""
    points = lift(view.depth, camera).reshape(-1, 3)
    colors = as_bytes(view.rgb).reshape(-1, 3)
    known = np.flatnonzero(np.isfinite(points[:, 2]))
    known = known[np.argsort(-points[known, 2])]  # the nearest is written last
    pixels = np.rint(camera.project(points[known])).astype(np.int64)
    inside = ((pixels >= 0) & (pixels < camera.size)).all(axis=1)
    image = np.zeros((camera.height, camera.width, 3), np.uint8)
    column, row = pixels[inside].T
    image[row, column] = colors[known[inside]]
    return cv2.morphologyEx(image, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))


def _run_held_out(
    sequence: Sequence, protocol: TissueProtocol, result: TissueResult, on_picture: OnPicture
) -> None:
    """P1, P2, P3, depth and the counts of the map; then P4 by rewinding."""
    tissue, pace = TissueMap(protocol.tissue), Pace(protocol.budget)
    before: np.ndarray | None = None
    remembered: list[tuple[int, SceneUpdate]] = []
    near = NearTools()
    for i, update in _scenes(sequence, protocol.sfm):
        held_out = is_held_out(i, protocol.hold_every)
        region = _region(sequence, i, update)
        labels = update.labels
        _update(tissue, update, labels, pace, held_out, result)
        if region is not None:
            frame = _score(tissue, update, region, i, held_out, before, protocol, result)
            on_picture(frame)
            remembered.append((i, update))
            _score_contamination(near, frame, sequence, update, result)
        _score_depth(tissue, sequence, i, update, result)
        alive = tissue.store.alive
        result.gaussians_max = max(result.gaussians_max, tissue.store.count)
        result.add(age=float(np.median(tissue.frame - tissue.store.view("born")[alive])))
        before = update.image
    for i, update in remembered:
        _score_rewound(tissue, sequence, i, update, result)


def _update(
    tissue: TissueMap,
    update: SceneUpdate,
    labels: np.ndarray | None,
    pace: Pace,
    held_out: bool,
    result: TissueResult | None,
) -> None:
    clock = StageClock()
    with clock.stage("update"):
        view = tissue.update(
            update.image, update.depth, update.pose, labels, pace.budget, held_out, update.unit
        )
    pace.done(update, clock.milliseconds["update"])
    if result is not None and not held_out and tissue.frame > 0:
        result.add(
            update_ms=clock.milliseconds["update"],
            tracking_ms=update.timings.get("motion", np.nan),
            refinement_steps=view.steps,
        )


def _score(
    tissue: TissueMap,
    update: SceneUpdate,
    region: np.ndarray,
    i: int,
    held_out: bool,
    before: np.ndarray | None,
    protocol: TissueProtocol,
    result: TissueResult,
) -> TissueFrame:
    """One render against its image."""
    camera = update.depth.camera
    view = tissue.render(camera, tissue.T_map_camera)
    rendered = as_bytes(view.rgb)
    score = psnr(rendered, update.image, region)
    name = "p1" if held_out else "p2"
    result.add(**{f"{name}_psnr": score, f"{name}_ssim": ssim(rendered, update.image, region)})
    result.add(alpha_coverage=float((view.alpha > protocol.covered)[region].mean()))
    if held_out:
        result.add(persistence_p1_psnr=psnr(before, update.image, region))
        whole = np.square(before.astype(np.float32) - update.image).mean()
        result.add(persistence_whole_mse=float(whole))
    else:
        points = reproject(view, camera)
        result.add(p3_psnr=psnr(*map(_blurred_centre, (points, update.image)), _centre(region)))
    return TissueFrame(name, i, update.image, rendered, score)


def _score_contamination(
    near: NearTools,
    frame: TissueFrame,
    sequence: Sequence,
    update: SceneUpdate,
    result: TissueResult,
) -> None:
    mask, clean = sequence.mask(frame.i), sequence.image_without_tools(frame.i)
    if mask is None or clean is None:
        return
    mask = Undistorter().apply(mask.astype(np.uint8), update.lens, exact=True)
    hidden = labels_at(mask, update.depth.camera.size) > 0
    pixels = near.add(update.frame.stamp, hidden)
    truth = _as_depth_sees(clean, update)
    result.add(contamination=contamination(frame.rendered, truth, pixels))


def _score_depth(
    tissue: TissueMap, sequence: Sequence, i: int, update: SceneUpdate, result: TissueResult
) -> None:
    """Rendered against reference depth on the raw image."""
    reference = sequence.reference_depth(i)
    if reference is None:
        return
    camera = update.depth.camera
    rendered = tissue.render(camera, tissue.T_map_camera).depth
    depth = depth_on_image(rendered, camera, update.lens)
    both = np.isfinite(depth) & np.isfinite(reference)
    result.add(depth_coverage=float(both.sum() / max(1, np.isfinite(reference).sum())))
    if both.any():
        error = np.abs(depth[both] / reference[both] - 1)
        result.add(depth_median_rel_err=float(np.median(error)))


def _score_rewound(
    tissue: TissueMap, sequence: Sequence, i: int, update: SceneUpdate, result: TissueResult
) -> None:
    if update.depth.stamp not in tissue.history.stamps:
        return
    region = _region(sequence, i, update)
    view = tissue.at_stamp(update.depth.stamp, update.depth.camera)
    result.add(p4_psnr=psnr(as_bytes(view.rgb), update.image, region))


def _run_hidden(
    sequence: Sequence, protocol: TissueProtocol, result: TissueResult, on_picture: OnPicture
) -> None:
    """A disc of tissue is withheld for some frames, and the map asked for it."""
    tissue, pace = TissueMap(protocol.tissue), Pace(protocol.budget)
    start = len(sequence) // 3
    stop = min(start + protocol.disc_frames, len(sequence))
    truths: dict[int, np.ndarray] = {}

    def withhold(i: int, frame: Frame) -> Frame:
        truths.clear()
        truths[i] = frame.image
        if not start <= i < stop:
            return frame
        height, width = frame.image.shape[:2]
        disc = disc_at(protocol, (i - start) / max(1, stop - start - 1), width, height)
        known = 0 if frame.tool_labels is None else frame.tool_labels
        labels = np.where(disc, np.uint8(255), np.uint8(known))
        image = np.where(disc[..., None], np.uint8(0), frame.image)
        return replace(frame, image=image, tool_labels=labels)

    for i, update in _scenes(sequence, protocol.sfm, withhold):
        if i >= stop:
            return
        labels = update.labels
        _update(tissue, update, labels, pace, False, None)
        region = _region(sequence, i, update)
        if i < start or region is None:
            continue
        hidden = cv2.resize(labels, update.depth.camera.size, interpolation=cv2.INTER_NEAREST)
        region &= hidden == 255
        if not region.any():
            continue
        truth = _as_depth_sees(truths[i], update)
        rendered = as_bytes(tissue.render(update.depth.camera, tissue.T_map_camera).rgb)
        painted = push_pull(update.image.astype(np.float32), hidden == 0)
        score = psnr(rendered, truth, region)
        result.add(hidden_psnr=score, hidden_inpaint_psnr=psnr(painted, truth, region))
        on_picture(TissueFrame("hidden", i, update.image, rendered, score))


def disc_at(protocol: TissueProtocol, progress: float, width: int, height: int) -> np.ndarray:
    """(H, W) bool: the disc after a share of its way."""
    (x0, y0), (x1, y1) = protocol.disc_from, protocol.disc_to
    x, y = (x0 + progress * (x1 - x0)) * width, (y0 + progress * (y1 - y0)) * height
    v, u = np.ogrid[:height, :width]
    return (u - x) ** 2 + (v - y) ** 2 <= (protocol.disc_diameter * width / 2) ** 2


def _scenes(
    sequence: Sequence, config: EstimatorConfig, change: Callable[[int, Frame], Frame] | None = None
) -> Iterator[tuple[int, SceneUpdate]]:
    """Every frame through depth and tracking, with the clip's instrument masks as labels."""
    estimator = Estimator(config)
    for i, frame in enumerate(sequence):
        mask = sequence.mask(i)
        labels = None if mask is None else mask.astype(np.uint8)
        given = replace(frame, tool_labels=labels)
        clock = StageClock()
        update = estimator.estimate(given if change is None else change(i, given), clock)
        yield i, replace(update, timings=clock.milliseconds)


def _as_depth_sees(image: np.ndarray, update: SceneUpdate) -> np.ndarray:
    """A raw image without distortion, at the size of the depth map."""
    image = Undistorter().apply(image, update.lens)
    return cv2.resize(image, update.depth.camera.size, interpolation=cv2.INTER_AREA)


def _region(sequence: Sequence, i: int, update: SceneUpdate) -> np.ndarray | None:
    """(H, W) bool pixels of `update.image` to score; None where the frame's mask is no good."""
    mask = sequence.mask(i)
    if mask is None:
        return np.ones(update.image.shape[:2], bool)
    if not sequence.mask_valid(i):
        return None
    region = (scored_region(mask, sequence.ignore(i)) & ~mask).astype(np.uint8)
    region = Undistorter().apply(region, update.lens, exact=True)
    return labels_at(region, update.depth.camera.size) > 0


def _blurred_centre(image: np.ndarray) -> np.ndarray:
    return _centre(cv2.GaussianBlur(image, (5, 5), 0.5))


def _centre(image: np.ndarray) -> np.ndarray:
    """Without 10 % of the height and width at each side."""
    down, right = (round(0.1 * side) for side in image.shape[:2])
    return image[down : image.shape[0] - down, right : image.shape[1] - right]
