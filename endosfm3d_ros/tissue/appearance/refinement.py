"""Refinement of the appearance through the differentiable rasteriser, within the time there is.

Live: one step per frame at the working size, more while time is left, and one in two frames where
there is none. Offline: as many as asked for, the last ones at the size of the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import cv2
import numpy as np

from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.tissue.appearance.rendering import Rendering, back_project, render
from endosfm3d_ros.tissue.observation import Observation, Replay
from endosfm3d_ros.tissue.store.gaussians import GaussianStore

SURROUNDINGS = 5  # px


@dataclass(frozen=True)
class RefinementConfig:
    """Jacobi steps on the colours."""

    gain: float = 1.0  # of a step
    sharpness: float = 2.0  # of its details; with gain 1, 2 was best on real clips, 3 rings
    min_mass: float = 0.15  # pixels of footprint that a step needs
    first_steps: int = 4  # on the first frame, see `Refiner.settle`
    live_steps: int = 4  # at most, per frame
    offline_steps: int = 3  # per frame at the working size ...
    offline_full_steps: int = 3  # ... and at the size of the image
    replay_every: int = 8  # frames between steps on a remembered view ...
    replay_from: float = 0.15  # ... where this share of the map is out of sight
    clock_memory: float = 0.8  # of the running mean of what a step costs


@dataclass(frozen=True)
class Target:
    """An image that the map is to look like."""

    camera: PinholeCamera
    rgb: np.ndarray  # (h, w, 3) float32 0..1
    weight: np.ndarray  # (h, w) float32, 0 withholds


class Refiner:
    """Runs steps and learns what one costs."""

    def __init__(self, config: RefinementConfig) -> None:
        self.config = config
        self._cost = 0.0
        self._left_out = False  # the step of the last frame
        self.steps = 0  # that the last frame took

    def settle(self, store: GaussianStore, target: Target, T_map_camera: np.ndarray) -> None:
        """Make new Gaussians look like the image together.

        Of neighbours that overlap, the nearer hides a part of the other, always on the same side
        where the surface slopes. Colours as sampled at the centres give a picture that is shifted
        by up to half the spacing, which the flow would take for motion.
        """
        for _ in range(self.config.first_steps):
            self._step(store, target, T_map_camera)

    def begin(
        self,
        store: GaussianStore,
        target: Target,
        T_map_camera: np.ndarray,
        deadline: float | None,
    ) -> Rendering:
        """The step that every frame gets, or every other one where it would end after `deadline`.

        Returns:
            The view before it.
        """
        self.steps = 0
        late = deadline is not None and perf_counter() + self._cost > deadline
        self._left_out = late and not self._left_out
        if self._left_out:
            return render(store, target.camera, T_map_camera)
        return self._timed_step(store, target, T_map_camera)

    def go_on(
        self, store: GaussianStore, target: Target, T_map_camera: np.ndarray, deadline: float
    ) -> Rendering | None:
        """Live: more steps while they fit before `deadline` (s, `perf_counter`).

        Returns:
            The view before the last of them; None where there was no time for one.
        """
        view = None
        while self.steps < self.config.live_steps and perf_counter() + self._cost < deadline:
            view = self._timed_step(store, target, T_map_camera)
        return view

    def finish(
        self, store: GaussianStore, targets: tuple[Target, Target], T_map_camera: np.ndarray
    ) -> Rendering | None:
        """Offline: the rest of a fixed number of steps, coarse target first.

        Returns:
            The view of the coarse target before its last step; None where there is no step left.
        """
        coarse, full = targets
        view = None
        for _ in range(self.config.offline_steps - self.steps):
            view = self._timed_step(store, coarse, T_map_camera)
        for _ in range(self.config.offline_full_steps):
            self._timed_step(store, full, T_map_camera)
        return view

    def replay(
        self,
        store: GaussianStore,
        target: Target,
        T_map_camera: np.ndarray,
        unseen: np.ndarray,
        deadline: float | None,
    ) -> None:
        """A step on a remembered view, where there is time for it.

        Args:
            store: the map as it was then.
            target: that view.
            T_map_camera: 4x4 its pose.
            unseen: (N,) bool Gaussians that may learn from it; the others know better by now.
            deadline: s, `perf_counter`; None for no limit.
        """
        if deadline is not None and perf_counter() + self._cost > deadline:
            return
        colors = store.view("colors")
        now = colors[~unseen]
        self._step(store, target, T_map_camera)
        colors[~unseen] = now

    def _timed_step(
        self, store: GaussianStore, target: Target, T_map_camera: np.ndarray
    ) -> Rendering:
        start = perf_counter()
        view = self._step(store, target, T_map_camera)
        memory = self.config.clock_memory if self._cost else 0.0
        self._cost = memory * self._cost + (1 - memory) * (perf_counter() - start)
        self.steps += 1
        return view

    def _step(self, store: GaussianStore, target: Target, T_map_camera: np.ndarray) -> Rendering:
        view, residual, mass = back_project(
            store, target.camera, T_map_camera, target.rgb, target.weight, self.config.sharpness
        )
        gain = self.config.gain * (mass > self.config.min_mass).astype(np.float32)
        gain *= _believed(view, target.weight)
        store.view("colors")[:] += gain[:, None] * residual
        return view


def _believed(view: Rendering, weight: np.ndarray) -> np.ndarray:
    """(N,) float32 0..1: how far the surroundings of every Gaussian's centre are believed.

    Of a Gaussian whose footprint is withheld but for its tail, the few pixels of the tail say next
    to nothing. A whole step from them, frame after frame, ends in colours that no image ever had:
    dark specks under instruments.
    """
    share = np.square(cv2.blur(weight, (SURROUNDINGS, SURROUNDINGS)))
    height, width = weight.shape
    column, row = np.rint(view.pixels).astype(np.int64).T
    return share[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]


def coarse_target(seen: Observation) -> Target:
    """The working image."""
    return Target(seen.camera, seen.rgb, seen.color.astype(np.float32))


def remembered_target(view: Replay) -> Target:
    """A key frame."""
    rgb = view.rgb.astype(np.float32) * np.float32(1 / 255)
    return Target(view.camera, rgb, view.shown.astype(np.float32))


def full_target(image: np.ndarray, camera: PinholeCamera, seen: Observation) -> Target:
    """The image itself, (H, W, 3) uint8 of an undistorted camera."""
    weight = cv2.resize(seen.color.astype(np.float32), camera.size, interpolation=cv2.INTER_NEAREST)
    return Target(camera, image.astype(np.float32) * np.float32(1 / 255), weight)
