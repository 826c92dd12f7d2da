"""The tissue map: one verb per frame, `TissueMap.update`.

One set of Gaussians at the current time, moved by a sparse deformation graph, corrected in closed
form, refined through the differentiable rasteriser. What instruments hide stays, and moves with
its surroundings. `TissueMap._advance` reads as the method.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from scipy.sparse import csr_matrix

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.timing import StageClock
from endosfm3d_ros.tissue.config import TissueConfig
from endosfm3d_ros.tissue.deformation import Samples, solve_deformation
from endosfm3d_ros.tissue.densification import Place
from endosfm3d_ros.tissue.flow import ModelFlow
from endosfm3d_ros.tissue.fusion import (
    METRIC_NOISE,
    RELATIVE_NOISE,
    DepthNoise,
    Sight,
    fade_what_is_looked_through,
    fuse_depth,
    look,
    note_seen,
)
from endosfm3d_ros.tissue.gaussians import GaussianStore
from endosfm3d_ros.tissue.graph import DeformationGraph
from endosfm3d_ros.tissue.growth import grow, seed
from endosfm3d_ros.tissue.history import History
from endosfm3d_ros.tissue.keyframes import Keyframes
from endosfm3d_ros.tissue.maintenance import maintain
from endosfm3d_ros.tissue.motion import sample_motion
from endosfm3d_ros.tissue.refinement import (
    Refiner,
    Target,
    coarse_target,
    full_target,
)
from endosfm3d_ros.tissue.registration import register
from endosfm3d_ros.tissue.rendering import Rendering, empty_view, render
from endosfm3d_ros.tissue.scale_alignment import ScaleAlignment
from endosfm3d_ros.tissue.snapshot import as_bytes, cloud_later
from endosfm3d_ros.tissue.tracker_tie import TrackerTie
from endosfm3d_ros.tissue.validity import Observation, observe
from endosfm3d_ros.types import CameraPose, DepthMap, ScaleSource, TissueView, TrackingState


@dataclass(frozen=True)
class _Guess:
    """The map from where the camera may be."""

    T_map_camera: np.ndarray  # 4x4
    view: Rendering
    sight: Sight
    depth: np.ndarray  # (h, w) measured, at the scale of the map
    samples: Samples
    support: float  # share of the common view that the image confirms


@dataclass(frozen=True)
class _Input:
    """One call of `update`, as every step needs it."""

    image: np.ndarray
    depth: DepthMap
    seen: Observation
    T_map_tracker: np.ndarray
    tracked: bool  # by the tracker
    noise: DepthNoise
    metric: bool
    deadline: float | None


class TissueMap:
    """An online map of deforming tissue with bounded memory and time.

    Args:
        config: settings; the defaults are for 640 px of endoscope video on two CPU cores.
    """

    def __init__(self, config: TissueConfig | None = None) -> None:
        self.config = config or TissueConfig()
        self.store = GaussianStore(self.config.capacity)
        self.milliseconds: dict[str, float] = {}  # of the steps of the last frame
        self._flow = ModelFlow(self.config.flow)
        self._refiner = Refiner(self.config.refinement)
        self.reset()

    def reset(self) -> None:
        """Forget the stream; the next frame is a first frame. Memory is kept and used again."""
        self.store.clear()
        self.graph: DeformationGraph | None = None
        self.history = History(self.config.history)
        self.frame = 0
        self.T_map_camera = np.eye(4)
        self._tie = TrackerTie(self.config.registration.return_rate)
        self._keyframes = Keyframes(self.config.keyframes)
        self._alignment = ScaleAlignment(self.config.alignment)
        self.scale = ScaleSource.RELATIVE  # of the positions
        self._state = TrackingState.INITIALISING
        self._stamp = 0
        self._interval = 1 / 30
        self._misfits = 0

    def update(
        self,
        image: np.ndarray,
        depth: DepthMap,
        pose: CameraPose,
        labels: np.ndarray | None = None,
        budget: float | None = None,
        held_out: bool = False,
    ) -> TissueView:
        """Bring the map to the time of an image.

        Args:
            image: (H, W, 3) uint8 RGB as the camera of `depth` sees it.
            depth: of the same image.
            pose: of the camera that took it, from the tracker.
            labels: (H, W) uint8 of the same pixels, 0 = tissue, else instrument.
            budget: seconds for the whole call; refinement fills what is left of it. None runs the
                fixed number of steps of offline processing.
            held_out: predict and track, but learn nothing from this image (for evaluation).

        Returns:
            The tissue as the camera would see it without instruments, at the working size.
        """
        start = perf_counter()
        c, clock = self.config, StageClock()
        with clock.stage("observe"):
            camera = depth.camera.resized(c.width, _height(depth.camera, c.width))
            metric = depth.scale != ScaleSource.RELATIVE
            given = _Input(
                image=image,
                depth=depth,
                seen=observe(image, depth, labels, camera, c.validity),
                T_map_tracker=pose.T_map_camera,
                tracked=pose.state == TrackingState.TRACKING,
                noise=METRIC_NOISE if metric else RELATIVE_NOISE,
                metric=metric,
                deadline=None if budget is None else start + budget,
            )
        first = self.graph is None
        view = self._start(given) if first else self._advance(given, held_out, clock)
        self.milliseconds = clock.milliseconds
        return self._view(view, given)

    def render(self, camera: PinholeCamera, T_map_camera: np.ndarray) -> Rendering:
        """The tissue without instruments from any pose (4x4 camera-to-map)."""
        return render(self.store, camera, T_map_camera)

    def rewound(self, stamp: int, camera: PinholeCamera) -> Rendering:
        """The tissue of now, deformed and seen as it was at a remembered stamp.

        Raises KeyError.
        """
        now = self.store.view("means").copy()
        self.store.view("means")[:] = self.history.means(stamp, self.store, self.graph)
        try:
            return render(self.store, camera, self.history.pose(stamp))
        finally:
            self.store.view("means")[:] = now

    def state(self) -> dict[str, np.ndarray]:
        """What a file keeps beside the Gaussians and the graph, for `restore`."""
        return {
            "T_map_camera": self.T_map_camera,
            "frame": np.array(self.frame),
            "stamp": np.array(self._stamp),
            "interval": np.array(self._interval),
            "log_bias": np.array(self._alignment.log_bias),
            "scale": np.array(self.scale.value),
        }

    def restore(self, state: dict[str, np.ndarray], graph: DeformationGraph) -> None:
        """Take over a state; the tracker, whose origin may be another one, is tied to it anew."""
        self.graph = graph
        self.T_map_camera = state["T_map_camera"]
        self.frame, self._stamp = int(state["frame"]), int(state["stamp"])
        self._interval = float(state["interval"])
        self._alignment.log_bias = float(state["log_bias"])
        self.scale = ScaleSource(str(state["scale"]))
        self._tie.release()

    def _start(self, given: _Input) -> Rendering:
        """The first frame: everything is new, what instruments hide is filled in."""
        c, seen = self.config, given.seen
        if not np.isfinite(seen.depth).any():
            return empty_view(seen.camera)
        self.T_map_camera = given.T_map_tracker
        self.scale = given.depth.scale
        self._stamp = given.depth.stamp
        width = seen.camera.width / seen.camera.fx * float(np.nanmedian(seen.depth))
        self.graph = DeformationGraph(c.graph.spacing * width, c.graph)
        seed(self.store, self.graph, self._place(given), c.densification)
        self._refiner.settle(self.store, coarse_target(seen), self.T_map_camera)
        self._state = TrackingState.TRACKING
        self._remember(given)
        return render(self.store, seen.camera, self.T_map_camera)

    def _advance(self, given: _Input, held_out: bool, clock: StageClock) -> Rendering:
        """Every other frame."""
        c, store, graph = self.config, self.store, self.graph
        self._interval = max((given.depth.stamp - self._stamp) * 1e-9, 1e-3)
        self._stamp = given.depth.stamp
        unsure = not given.tracked or self._tie.alone
        T = self._tie.expect(given.T_map_tracker, given.tracked, self.T_map_camera)
        store.tidy()
        # 1 the map one frame later
        with clock.stage("predict"):
            skin = graph.skin(store.view("node_index"), store.view("node_weight"))
            predicted = self._predict(given, T)
            self._displace(skin, predicted)
        # 2 what the camera should see of it, and where the image shows that
        guess = self._look_from(T, given, clock)
        # 3 lost: where else it was seen like this; without an answer nothing is learnt
        if unsure and guess.support < c.min_support:
            with clock.stage("relocalise"):
                guess = self._relocalise(given, clock)
            if guess is None:
                return self._hold(given)
        view, sight = guess.view, guess.sight
        given = replace(given, seen=replace(given.seen, depth=guess.depth))
        # 4 the camera takes the rigid part of the motion
        with clock.stage("register"):
            T, samples = self._track(guess.samples, given, guess.T_map_camera)
        self._state, self.T_map_camera = TrackingState.TRACKING, T
        if held_out:
            graph.decay()
            self._remember(given)
            return view
        # 5 the deformation graph takes the rest
        with clock.stage("deform"):
            self._deform(skin, predicted, samples, sight)
        # 6 what was filled in gives way to what is seen
        shown = given.seen.color[sight.row, sight.column]
        store.remove(sight.slots[shown & store.inferred[sight.slots]])
        # 7 colours, by a step through the rasteriser
        target = coarse_target(given.seen)
        with clock.stage("refine"):
            view = self._refiner.begin(store, target, self.T_map_camera)
        # 8 depth, along the viewing rays; free space, never under instruments
        with clock.stage("fuse"):
            sight = look(view, c.fusion.surface)
            self.frame += 1
            note_seen(store, sight, given.seen, self.frame)
            fuse_depth(store, sight, given.seen, self.T_map_camera, given.noise, c.fusion)
            fade_what_is_looked_through(store, sight, given.seen, given.noise, c.fusion)
        # 9 new Gaussians where tissue came into view, filled-in ones where it stays hidden
        with clock.stage("densify"):
            place = self._place(given)
            grow(store, graph, view, sight, place, given.noise, c.densification)
        # 10 within the caps
        with clock.stage("maintain"):
            self._maintain(view, sight, place)
        # 11 colours again, new Gaussians included, in the time that is left
        with clock.stage("refine_more"):
            view = self._refine_more(given, target) or view
        self._remember(given)
        return view

    def _predict(self, given: _Input, T: np.ndarray) -> np.ndarray:
        """(M, 3) metres. Without metric depth the map as a whole stays at its distance.

        Depth that is scaled to fit the map cannot contradict a map that moves as a whole.
        """
        step = self.graph.predict(self._interval)
        if given.metric:
            return step
        axis = T[:3, 2]
        return step - float(np.median(step @ axis)) * axis

    def _displace(self, skin: csr_matrix, step: np.ndarray) -> None:
        """Move nodes by (M, 3) metres, and the Gaussians with them."""
        self.graph.move(step)
        self.store.view("means")[:] += (skin @ step).astype(np.float32)

    def _look_from(self, T: np.ndarray, given: _Input, clock: StageClock) -> _Guess:
        """The map from a pose against the image; depth without a scale is brought to the map's."""
        c, seen = self.config, given.seen
        with clock.stage("predict"):
            view = render(self.store, seen.camera, T)
            sight = look(view, c.fusion.surface)
        if not given.metric:
            seen = replace(seen, depth=self._alignment.align(seen.depth, view))
        with clock.stage("flow"):
            worth = c.deformation.metric_depth if given.metric else c.deformation.relative_depth
            flow = self._flow.measure(view, seen)
            count = c.deformation.samples
            samples = sample_motion(self.store, sight, seen, flow, T, worth, count)
        return _Guess(T, view, sight, seen.depth, samples, flow.support)

    def _relocalise(self, given: _Input, clock: StageClock) -> _Guess | None:
        """The first remembered view that the image confirms, or None."""
        for T in self._keyframes.alike(given.seen):
            near = self._look_from(T, given, clock)
            found = register(near.samples, self.config.registration)
            if not found.accepted:
                continue
            guess = self._look_from(T @ se3.inverse(found.T_camera_predicted), given, clock)
            if guess.support >= self.config.min_support:
                if given.tracked:
                    self._tie.attach(guess.T_map_camera, given.T_map_tracker)
                return guess
        return None

    def _hold(self, given: _Input) -> Rendering:
        """Neither the tracker nor the map knows the camera: the map stays as it is.

        A tracker that works where the map recognises nothing looks at something else: after some
        frames the map starts anew.
        """
        self._state = TrackingState.LOST
        self.graph.decay()
        self._tie.release()
        view = render(self.store, given.seen.camera, self.T_map_camera)
        self._misfits = self._misfits + 1 if given.tracked else 0
        if self._misfits >= self.config.mismatch_frames:
            self.reset()
        return view

    def _track(self, samples: Samples, given: _Input, T: np.ndarray) -> tuple[np.ndarray, Samples]:
        """The tracker's pose where depth is metric, else corrected against the map.

        With metric depth the tracker's key frames drift less than a map that deforms; without,
        its scale is only as good as one depth map, and the map's is that of all of them.
        """
        if given.metric and given.tracked:
            return T, samples
        found = register(samples, self.config.registration)
        if not found.accepted:
            return T, samples
        T = T @ se3.inverse(found.T_camera_predicted)
        if given.tracked:
            step = self._tie.correct(T, given.T_map_tracker)
            self._move_as_a_whole(step)
            T = step @ T
        return T, replace(samples, points=se3.transform(found.T_camera_predicted, samples.points))

    def _move_as_a_whole(self, step: np.ndarray) -> None:
        """Every node and Gaussian by one rigid motion (4x4 in the map frame)."""
        nodes, means = self.graph.positions, self.store.view("means")
        self.graph.move(se3.transform(step, nodes) - nodes)
        means[:] = se3.transform(step, means)

    def _deform(
        self, skin: csr_matrix, predicted: np.ndarray, samples: Samples, sight: Sight
    ) -> None:
        graph = self.graph
        in_view, measured = np.zeros((2, graph.count), bool)
        in_view[self.store.node_index[sight.slots[sight.surface]]] = True
        measured[samples.index] = True
        R = self.T_map_camera[:3, :3]
        step = (
            solve_deformation(graph, samples, predicted @ R, in_view, self.config.deformation) @ R.T
        )
        self._displace(skin, step)
        graph.learn(predicted + step, self._interval, measured)
        graph.tear()

    def _refine_more(self, given: _Input, target: Target) -> Rendering | None:
        if self.graph is None:  # it was just decided to start anew
            return None
        if given.deadline is not None:
            return self._refiner.go_on(self.store, target, self.T_map_camera, given.deadline)
        full = full_target(given.image, given.depth.camera, given.seen)
        return self._refiner.finish(self.store, (target, full), self.T_map_camera)

    def _place(self, given: _Input) -> Place:
        return Place(given.seen, self.T_map_camera, self.frame, self.config.density)

    def _maintain(self, view: Rendering, sight: Sight, place: Place) -> None:
        fps = 1 / self._interval
        renumbered = maintain(
            self.store, self.graph, view, sight, place, fps, self.config.maintenance
        )
        if renumbered is not None:
            self.history.renumber(renumbered)
        self._start_anew_if_misfit(view, place.seen)

    def _start_anew_if_misfit(self, view: Rendering, seen: Observation) -> None:
        """A map that stopped looking like the image is worth nothing."""
        both = seen.color & (view.alpha > 0.5)
        difference = np.abs(view.rgb - seen.rgb)[::4, ::4][both[::4, ::4]]
        misfit = not len(difference) or float(difference.mean()) > self.config.mismatch
        self._misfits = self._misfits + 1 if misfit else 0
        if self._misfits >= self.config.mismatch_frames:
            self.reset()

    def _remember(self, given: _Input) -> None:
        if self.graph is not None:
            self._keyframes.consider(given.seen, self.T_map_camera)
            self.history.record(given.depth.stamp, self.graph, self.T_map_camera)

    def _view(self, view: Rendering, given: _Input) -> TissueView:
        return TissueView(
            stamp=given.depth.stamp,
            camera=given.seen.camera,
            T_map_camera=self.T_map_camera.copy(),
            image=as_bytes(view.rgb),
            depth=view.depth,
            make_cloud=cloud_later(self.store, self.frame, 1 / self._interval, self.T_map_camera),
            state=self._state,
            steps=self._refiner.steps,
        )


def _height(camera: PinholeCamera, width: int) -> int:
    """Rows of the working image."""
    return max(1, round(camera.height * width / camera.width))
