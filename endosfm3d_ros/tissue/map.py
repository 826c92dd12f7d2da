"""The tissue map: one verb per frame, `TissueMap.update`.

One set of Gaussians at the current time, moved by a sparse deformation graph, corrected in closed
form, refined through the differentiable rasteriser. What instruments hide stays, and moves with
its surroundings. `TissueMap._advance` reads as the method.
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter

import numpy as np
from scipy.sparse import csr_matrix

from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.runtime.timing import StageClock
from endosfm3d_ros.tissue.appearance.refinement import (
    Refiner,
    Target,
    coarse_target,
    full_target,
    remembered_target,
)
from endosfm3d_ros.tissue.appearance.rendering import Rendering, empty_view, render
from endosfm3d_ros.tissue.appearance.visibility import Visibility, project
from endosfm3d_ros.tissue.camera.map_localisation import Localiser, MapInput
from endosfm3d_ros.tissue.config import TissueConfig
from endosfm3d_ros.tissue.coverage.cracks import without_cracks
from endosfm3d_ros.tissue.coverage.densification import Place
from endosfm3d_ros.tissue.coverage.fusion import (
    carve_free_space,
    fuse_depth,
    keep_clear_colors,
    note_seen,
)
from endosfm3d_ros.tissue.coverage.growth import grow, seed
from endosfm3d_ros.tissue.coverage.maintenance import maintain
from endosfm3d_ros.tissue.deformation.graph import DeformationGraph
from endosfm3d_ros.tissue.deformation.history import History
from endosfm3d_ros.tissue.deformation.solver import Samples, solve_deformation
from endosfm3d_ros.tissue.deformation.warp import displace, expected_step, move_as_a_whole
from endosfm3d_ros.tissue.observation import (
    METRIC_NOISE,
    RELATIVE_NOISE,
    Observation,
    observe,
    working_camera,
)
from endosfm3d_ros.tissue.store.gaussians import GaussianStore
from endosfm3d_ros.tissue.store.snapshot import GaussianSnapshot, as_bytes
from endosfm3d_ros.types import CameraPose, DepthMap, ScaleSource, TissueView, TrackingState


class TissueMap:
    """An online map of deforming tissue with bounded memory and time.

    Args:
        config: settings; the defaults are for 640 px of endoscope video on two CPU cores.
    """

    def __init__(self, config: TissueConfig | None = None) -> None:
        self.config = config or TissueConfig()
        self.store = GaussianStore(self.config.capacity)
        self.milliseconds: dict[str, float] = {}  # of the steps of the last frame
        self._refiner = Refiner(self.config.refinement)
        self.reset()

    def reset(self) -> None:
        """Forget the stream; the next frame is a first frame. Memory is kept and used again."""
        self.store.clear()
        self.graph: DeformationGraph | None = None
        self.history = History(self.config.history)
        self.frame = 0
        self.T_map_camera = np.eye(4)
        self._localiser = Localiser(self.config)
        self.scale = ScaleSource.RELATIVE  # of the positions
        self._unit: float | None = None  # metres per unit of the stream, that all lengths are in
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
        unit: float | None = None,
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
            unit: metres, as believed now, per unit that the stream began with; where that has
                changed, everything remembered becomes as much larger. None: as before.

        Returns:
            The tissue as the camera would see it without instruments, at the working size.
        """
        start = perf_counter()
        c, clock = self.config, StageClock()
        self._follow(unit)
        with clock.stage("observe"):
            camera = working_camera(depth.camera, c.width)
            metric = depth.scale != ScaleSource.RELATIVE
            given = MapInput(
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

    def rescale(self, factor: float) -> None:
        """Everything that is a length becomes larger by a factor, about the origin of the map."""
        self.store.rescale(factor)
        if self.graph is not None:
            self.graph.rescale(factor)
        self.history.rescale(factor)
        self._localiser.rescale(factor)
        self.T_map_camera = se3.scaled(self.T_map_camera, factor)

    def _follow(self, unit: float | None) -> None:
        """Lengths that were learnt in another unit than the one of now are brought to it."""
        if unit is None:
            return
        if self._unit is not None and unit != self._unit:
            self.rescale(unit / self._unit)
        self._unit = unit

    def set_width(self, width: int) -> None:
        """Work at another width in px from the next image on; density follows by and by."""
        if width != self.config.width:
            self.config = replace(self.config, width=width)

    def render(self, camera: PinholeCamera, T_map_camera: np.ndarray) -> Rendering:
        """The tissue without instruments from any pose (4x4 camera-to-map)."""
        return render(self.store, camera, T_map_camera)

    def at_stamp(self, stamp: int, camera: PinholeCamera) -> Rendering:
        """The tissue of now, deformed and seen as it was at a remembered stamp.

        Raises KeyError.
        """
        with self.history.at_stamp(stamp, self.store, self.graph) as T:
            return render(self.store, camera, T)

    def state(self) -> dict[str, np.ndarray]:
        """What a file keeps beside the Gaussians and the graph, for `restore`."""
        return {
            "T_map_camera": self.T_map_camera,
            "frame": np.array(self.frame),
            "stamp": np.array(self._stamp),
            "interval": np.array(self._interval),
            "log_bias": np.array(self._localiser.alignment.log_bias),
            **self._localiser.keyframes.state(),
            "scale": np.array(self.scale.value),
        }

    def restore(self, state: dict[str, np.ndarray], graph: DeformationGraph) -> None:
        """Take over a state; the tracker, whose origin may be another one, is tied to it anew."""
        self.graph = graph
        self.T_map_camera = state["T_map_camera"]
        self.frame, self._stamp = int(state["frame"]), int(state["stamp"])
        self._interval = float(state["interval"])
        self._localiser.alignment.log_bias = float(state["log_bias"])
        self._localiser.keyframes.restore(state)
        self.scale = ScaleSource(str(state["scale"]))
        self._localiser.odom_correction.release()

    def _start(self, given: MapInput) -> Rendering:
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

    def _advance(self, given: MapInput, held_out: bool, clock: StageClock) -> Rendering:
        """Every other frame: where the tissue and the camera went, then what the image teaches."""
        store, graph = self.store, self.graph
        self._interval = max((given.depth.stamp - self._stamp) * 1e-9, 1e-3)
        self._stamp = given.depth.stamp
        T = self._localiser.odom_correction.expect(
            given.T_map_tracker, given.tracked, self.T_map_camera
        )
        store.tidy()
        # 1 the map one frame later
        with clock.stage("predict"):
            skin = graph.skin(store.view("node_index"), store.view("node_weight"))
            predicted = expected_step(graph, self._interval, T, given.metric)
            displace(store, graph, skin, predicted)
        # 2 what the camera should see of it, and where the image shows that; lost: where else it
        # was seen like this; without an answer nothing is learnt
        guess = self._localiser.find(store, T, given, clock)
        if guess is None:
            return self._hold(given)
        view, visible = guess.view, guess.visible
        # 3 depth without a scale, at the scale of the map
        given = replace(given, seen=replace(given.seen, depth=guess.depth))
        # 4 the camera takes the rigid part of the motion
        with clock.stage("register"):
            found = self._localiser.correct(guess, given)
            if found.whole is not None:
                move_as_a_whole(store, graph, found.whole)
        self._state, self.T_map_camera = TrackingState.TRACKING, found.T_map_camera
        if held_out:
            graph.decay()
        else:
            # 5 the deformation graph takes the rest
            with clock.stage("deform"):
                self._deform(skin, predicted, found.samples, visible)
            view = self._learn(given, visible, clock)
        self._remember(given)
        return view

    def _learn(self, given: MapInput, visible: Visibility, clock: StageClock) -> Rendering:
        """What the image says of colour, depth and extent of the tissue, which is in place now."""
        c, store, graph = self.config, self.store, self.graph
        # 6 what was filled in gives way to what is seen
        shown = given.seen.color[visible.row, visible.column]
        store.remove(visible.slots[shown & store.inferred[visible.slots]])
        # 7 colours, by a step through the rasteriser
        target = coarse_target(given.seen)
        with clock.stage("refine"):
            view = self._refiner.begin(store, target, self.T_map_camera, given.deadline)
        # 8 depth, along the viewing rays; free space, never under instruments
        with clock.stage("fuse"):
            visible = project(view, c.fusion.surface)
            self.frame += 1
            note_seen(store, visible, given.seen, self.frame)
            keep_clear_colors(store, visible, given.seen)
            fuse_depth(store, visible, given.seen, self.T_map_camera, given.noise, c.fusion)
            carve_free_space(store, visible, given.seen, given.noise, c.fusion)
        # 9 new Gaussians where tissue came into view, filled-in ones where it stays hidden
        with clock.stage("densify"):
            place = self._place(given)
            grow(store, graph, view, visible, place, given.noise, c.densification)
        # 10 within the caps
        with clock.stage("maintain"):
            self._maintain(view, visible, place)
        # 11 now and then colours of what is out of sight, on a remembered view
        with clock.stage("replay"):
            self._replay(given)
        # 12 colours again, new Gaussians included, in the time that is left
        with clock.stage("refine_more"):
            view = self._refine_more(given, target) or view
        return view

    def _hold(self, given: MapInput) -> Rendering:
        """Neither the tracker nor the map knows the camera: the map stays as it is.

        A tracker that works where the map recognises nothing looks at something else: after some
        frames the map starts anew.
        """
        self._state = TrackingState.LOST
        self.graph.decay()
        self._localiser.odom_correction.release()
        view = render(self.store, given.seen.camera, self.T_map_camera)
        self._misfits = self._misfits + 1 if given.tracked else 0
        if self._misfits >= self.config.mismatch_frames:
            self.reset()
        return view

    def _deform(
        self, skin: csr_matrix, predicted: np.ndarray, samples: Samples, visible: Visibility
    ) -> None:
        graph = self.graph
        in_view, measured = np.zeros((2, graph.count), bool)
        in_view[self.store.node_index[visible.slots[visible.surface]]] = True
        measured[samples.index] = True
        R = self.T_map_camera[:3, :3]
        step = (
            solve_deformation(graph, samples, predicted @ R, in_view, self.config.deformation) @ R.T
        )
        displace(self.store, graph, skin, step)
        graph.learn(predicted + step, self._interval, measured)
        graph.tear()

    def _replay(self, given: MapInput) -> None:
        c, store = self.config.refinement, self.store
        if self.graph is None or self.frame % c.replay_every:
            return
        unseen = (store.view("seen") < self.frame) & store.alive
        view = self._localiser.keyframes.next_round_robin(self.history.stamps)
        if view is None or unseen.sum() < c.replay_from * store.count:
            return
        with self.history.at_stamp(view.stamp, store, self.graph) as T:
            self._refiner.replay(store, remembered_target(view), T, unseen, given.deadline)

    def _refine_more(self, given: MapInput, target: Target) -> Rendering | None:
        if self.graph is None:  # it was just decided to start anew
            return None
        if given.deadline is not None:
            return self._refiner.go_on(self.store, target, self.T_map_camera, given.deadline)
        full = full_target(given.image, given.depth.camera, given.seen)
        return self._refiner.finish(self.store, (target, full), self.T_map_camera)

    def _place(self, given: MapInput) -> Place:
        return Place(given.seen, self.T_map_camera, self.frame, self.config.density)

    def _maintain(self, view: Rendering, visible: Visibility, place: Place) -> None:
        fps = 1 / self._interval
        renumbered = maintain(
            self.store, self.graph, view, visible, place, fps, self.config.maintenance
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

    def _remember(self, given: MapInput) -> None:
        if self.graph is not None:
            self._localiser.keyframes.consider(given.seen, self.T_map_camera, given.depth.stamp)
            self.history.record(given.depth.stamp, self.graph, self.T_map_camera)

    def _view(self, view: Rendering, given: MapInput) -> TissueView:
        rgb, covered = without_cracks(view)
        return TissueView(
            stamp=given.depth.stamp,
            camera=given.seen.camera,
            T_map_camera=self.T_map_camera.copy(),
            image=as_bytes(rgb),
            covered=covered,
            depth=view.depth,
            gaussians=GaussianSnapshot.of(
                self.store, self.frame, 1 / self._interval, self.T_map_camera
            ),
            state=self._state,
            steps=self._refiner.steps,
        )
