"""A simulated clip as a sequence: frames are rendered when asked for, references are exact."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from endosfm3d_ros.datasets.sequence import LEFT_FRAME, Sequence, stamp_of
from endosfm3d_ros.datasets.simulation.scenes import BASELINE, SCENES, camera_path, stereo_rig
from endosfm3d_ros.datasets.simulation.shading import develop, shade
from endosfm3d_ros.datasets.simulation.surface import HeightField, Hit, cast
from endosfm3d_ros.datasets.simulation.texture import TissueTexture, make_texture
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import Frame


class SimulatedSequence(Sequence):
    """A stereo endoscope over tissue; the same arguments give the same pixels.

    Args:
        scene: a name in `SCENES`.
        frames: how many.
        width: pixels.
        height: pixels.
        fps: frames per second.
        seed: of the tissue's shape and texture and of the sensor noise.
        start: stamp of the first frame in nanoseconds.

    Raises:
        ConfigurationError: an unknown scene, a negative seed, or a count, size or rate that is not
            positive.
    """

    def __init__(
        self,
        scene: str = "breathing",
        *,
        frames: int = 90,
        width: int = 640,
        height: int = 512,
        fps: float = 15.0,
        seed: int = 0,
        start: int = 0,
    ) -> None:
        if scene not in SCENES:
            raise ConfigurationError(f"scene {scene!r}: accepted are {', '.join(SCENES)}")
        if frames < 1 or min(width, height) < 16 or not fps > 0:
            raise ConfigurationError(
                f"{frames} frames of {width}x{height} at {fps} fps: at least one frame of 16x16 "
                "pixels and a positive rate are accepted"
            )
        if seed < 0:
            raise ConfigurationError(f"seed {seed}: it must not be negative")
        self.name, self.fps = scene, fps
        self._frames, self._seed, self._start = frames, seed, start
        self._scene = SCENES[scene]
        self.stereo = stereo_rig(self._scene, width, height)
        self.camera = self.stereo.left
        generator = torch.Generator().manual_seed(seed)
        self._field = HeightField(
            self._scene.distance, self._scene.relief, self._scene.breathing, generator
        )
        self._rays = [_rays(self.stereo.left), _rays(self.stereo.right)]

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[Frame]:
        return (self[i] for i in range(self._frames))

    def __getitem__(self, i: int) -> Frame:
        """Render the frame at a position."""
        return Frame(
            stamp=stamp_of(i, self.fps, self._start),
            image=self._render(i, 0),
            frame_id=LEFT_FRAME,
            camera=self.camera,
            right_image=self._render(i, 1),
            stereo=self.stereo,
        )

    def reference_depth(self, i: int) -> np.ndarray:
        return self._cast(i, 0).depth.numpy()

    def reference_pose(self, i: int) -> np.ndarray:
        return self._pose(i, 0)

    @cached_property
    def _texture(self) -> TissueTexture:
        return make_texture(np.random.default_rng(self._seed))

    def _pose(self, i: int, eye: int) -> np.ndarray:
        """4x4 camera-to-world of a raw eye: rectified = R @ raw."""
        rectified = camera_path(self._scene, i / self.fps)
        offset = np.array([eye * BASELINE, 0, 0])
        R = self.stereo.R_right if eye else self.stereo.R_left
        return rectified @ se3.from_rotation(R, offset)

    def _cast(self, i: int, eye: int) -> Hit:
        pose = torch.from_numpy(self._pose(i, eye)).float()
        rays = torch.einsum("ij,jhw->ihw", pose[:3, :3], self._rays[eye])
        return cast(self._field, pose[:3, 3], rays, i / self.fps)

    def _render(self, i: int, eye: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of one eye; the lamp sits at the left one."""
        lamp, centre = (torch.from_numpy(self._pose(i, e)[:3, 3]).float() for e in (0, eye))
        hit = self._cast(i, eye)
        x, y = self._field.material(hit.x, hit.y, i / self.fps)
        tilt = (1 + hit.slope_x**2 + hit.slope_y**2).sqrt_()
        footprint = hit.depth * tilt.sqrt_() / self.camera.fx
        texture = self._texture.sample(x, y, footprint)
        image = shade(hit, texture, centre, lamp, self._scene.light)
        stream = np.random.SeedSequence((self._seed, i, eye)).generate_state(1)
        noise = torch.Generator().manual_seed(int(stream[0]))
        return develop(image, self._scene.light, noise).numpy()


def _rays(camera: PinholeCamera) -> Tensor:
    """(3, H, W) float32 viewing rays with z = 1."""
    return torch.from_numpy(np.ascontiguousarray(camera.rays().transpose(2, 0, 1)))
