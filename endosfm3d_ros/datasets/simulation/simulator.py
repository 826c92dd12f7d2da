"""A simulated clip as a sequence: frames are rendered when asked for, references are exact."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cached_property, lru_cache

import numpy as np
import torch

from endosfm3d_ros.datasets.formats.surface_truth import Surface
from endosfm3d_ros.datasets.formats.tool_truth import ToolMesh, ToolPosture
from endosfm3d_ros.datasets.sequence import LEFT_FRAME, Sequence, stamp_of
from endosfm3d_ros.datasets.simulation import truth
from endosfm3d_ros.datasets.simulation.camera.rig import BASELINE, stereo_rig, zoomed
from endosfm3d_ros.datasets.simulation.camera.sensor import automatic_gain, develop, plain_look
from endosfm3d_ros.datasets.simulation.camera.views import Cameras
from endosfm3d_ros.datasets.simulation.dice import Dice
from endosfm3d_ros.datasets.simulation.instruments.mesh import tool_mesh
from endosfm3d_ros.datasets.simulation.rendering.render import Scenes, View, render
from endosfm3d_ros.datasets.simulation.scenes import SCENES
from endosfm3d_ros.datasets.simulation.seen import SeenSoFar, Shot, surface_points
from endosfm3d_ros.datasets.simulation.stage import LAMP, Stage
from endosfm3d_ros.datasets.simulation.threads import one_thread
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.geometry import se3
from endosfm3d_ros.geometry.camera import PinholeCamera
from endosfm3d_ros.types import Frame

METER_SIZE = (160, 128)  # pixels of the picture that the exposure is measured on
SURFACE_SPACING = 8  # texels of the relief per point of the true surface, about 1 mm
KEPT = 3  # views that stay in memory, for references asked for beside the pictures


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
        self._rig = stereo_rig(self._scene.raw_rotation, width, height)
        self.stereo = None if self._scene.zoom else self._rig
        self.camera = self._rig.left
        self._view = lru_cache(KEPT)(self._rendered)

    def __len__(self) -> int:
        return self._frames

    def __iter__(self) -> Iterator[Frame]:
        return (self[i] for i in range(self._frames))

    def __getitem__(self, i: int) -> Frame:
        """Render the frame at a position."""
        return Frame(
            stamp=stamp_of(i, self.fps, self._start),
            image=self._picture(i, 0),
            frame_id=LEFT_FRAME,
            camera=self.camera,
            right_image=None if self.stereo is None else self._picture(i, 1),
            stereo=self.stereo,
        )

    def reference_camera(self, i: int) -> PinholeCamera:
        """The left camera as it is now; `camera` is what a calibration before the clip gave."""
        return self._camera(i, 0)

    def reference_depth(self, i: int) -> np.ndarray:
        return self._view(i, 0).depth[0, 0].numpy()

    def reference_normals(self, i: int) -> np.ndarray:
        """(H, W, 3) float32 unit normals towards the camera, left camera frame."""
        return truth.normals_of(self._view(i, 0))

    def reference_pose(self, i: int) -> np.ndarray:
        return self._pose(i, 0)

    @one_thread()
    def reference_flow(self, i: int, j: int) -> truth.Flow:
        """Where the pixels of the left picture i went in the left picture j."""
        first, second = ((self._view(k, 0), self._posed(k, 0), self._cameras(k, 0)) for k in (i, j))
        return truth.flow_between(*first, *second)

    def tissue_depth(self, i: int) -> np.ndarray:
        """(H, W) float32 metres along z, as if there were no instruments."""
        return self._view(i, 0).tissue.depth[0, 0].numpy()

    @one_thread()
    @torch.no_grad()
    def image_without_tools(self, i: int) -> np.ndarray:
        """The same scene, light and exposure without instruments and their shadows."""
        scene = self._posed(i, 0)
        bare = replace(scene.tools, kind=torch.full_like(scene.tools.kind, -1))
        light = render(replace(scene, tools=bare), self._cameras(i, 0)).light
        return self._developed(light, i, 0)

    def instances(self, i: int) -> np.ndarray | None:
        if not self._scene.instruments:
            return None
        return self._view(i, 0).tools.label[0, 0].byte().numpy()

    def mask(self, i: int) -> np.ndarray | None:
        instances = self.instances(i)
        return None if instances is None else instances > 0

    def parts(self, i: int) -> np.ndarray | None:
        if not self._scene.instruments:
            return None
        return self._view(i, 0).tools.part[0, 0].byte().numpy()

    def tool_meshes(self) -> dict[int, ToolMesh]:
        tools = self._stage.tools(0.0)
        return {k + 1: tool_mesh(tools, k) for k in range(len(self._scene.instruments))}

    def tool_poses(self, i: int) -> dict[int, np.ndarray]:
        world = self._stage.tools(i / self.fps).poses[0, 0].double().numpy()
        camera = se3.inverse(self._pose(i, 0))
        return {k + 1: camera @ pose for k, pose in enumerate(world)}

    def tool_postures(self, i: int) -> dict[int, ToolPosture]:
        postures = self._stage.tools(i / self.fps).postures()
        poses = self.tool_poses(i)
        return {k + 1: posture.seen(poses[k + 1]) for k, posture in enumerate(postures)}

    @one_thread()
    def tool_clearances(self, i: int) -> dict[int, float]:
        """Smallest distance in metres of each tool's surface to the tissue, seen or hidden."""
        tissue = truth.tissue_points(self._posed(i, 0))
        poses = self._stage.tools(i / self.fps).poses[0, 0].double().numpy()
        return {
            tool: truth.clearance(se3.transform(poses[tool - 1], mesh.vertices), tissue)
            for tool, mesh in self._meshes.items()
        }

    def surface(self, i: int) -> Surface:
        return self._seen.surface(i)

    @cached_property
    @one_thread()
    def _stage(self) -> Stage:
        return Stage(self._scene, self._seed)

    @cached_property
    def _meshes(self) -> dict[int, ToolMesh]:
        return self.tool_meshes()

    @cached_property
    def _seen(self) -> SeenSoFar:
        return SeenSoFar(self._shot)

    @cached_property
    def _tool_points(self) -> dict[int, np.ndarray]:
        return {tool: surface_points(mesh) for tool, mesh in self._meshes.items()}

    @one_thread()
    def _shot(self, i: int) -> Shot:
        """Frame `i` with every point of tissue and instruments."""
        tissue = truth.tissue_points(self._posed(i, 0), SURFACE_SPACING)
        points = {0: se3.transform(se3.inverse(self._pose(i, 0)), tissue)}
        for tool, pose in self.tool_poses(i).items():
            points[tool] = se3.transform(pose, self._tool_points[tool])
        labels = np.repeat(np.array(list(points), np.uint8), [len(p) for p in points.values()])
        surface = Surface(np.concatenate(list(points.values())), labels)
        instances = self._view(i, 0).tools.label[0, 0].byte().numpy()
        return Shot(surface, self._camera(i, 0), self.reference_depth(i), instances)

    @cached_property
    def _gain(self) -> torch.Tensor:
        """Exposure, the same for all frames and picture sizes."""
        factor = METER_SIZE[0] / self.camera.width
        small = PinholeCamera.from_matrix(np.diag([factor, factor, 1]) @ self.camera.K, *METER_SIZE)
        view = self._shown(0, 0, small)
        return automatic_gain(view.light, plain_look(self._scene.noise, 0).exposure)

    @one_thread()
    def _picture(self, i: int, eye: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB."""
        return self._developed(self._view(i, eye).light, i, eye)

    def _developed(self, light: torch.Tensor, i: int, eye: int) -> np.ndarray:
        """(H, W, 3) uint8 RGB of linear light, with the noise of this frame."""
        stream = np.random.SeedSequence((self._seed, i, eye)).generate_state(1)
        look = plain_look(self._scene.noise, self._scene.smoke)
        developed = develop(light, look, self._gain, Dice(int(stream[0])))
        return developed[0, 0].permute(1, 2, 0).contiguous().numpy()

    def _rendered(self, i: int, eye: int) -> View:
        return self._shown(i, eye, self._camera(i, eye))

    @one_thread()
    @torch.no_grad()
    def _shown(self, i: int, eye: int, camera: PinholeCamera) -> View:
        return render(self._posed(i, eye), self._through(camera, self._pose(i, eye)))

    def _posed(self, i: int, eye: int) -> Scenes:
        """The scene at the time of frame i, with the lamp as this eye sees it."""
        lamp = self._pose(i, 0) @ np.array([*LAMP, 1.0])
        return self._stage.at(i / self.fps, (se3.inverse(self._pose(i, eye)) @ lamp)[:3])

    def _cameras(self, i: int, eye: int) -> Cameras:
        return self._through(self._camera(i, eye), self._pose(i, eye))

    def _through(self, camera: PinholeCamera, pose: np.ndarray) -> Cameras:
        K, T = (torch.from_numpy(matrix).float()[None, None] for matrix in (camera.K, pose))
        return Cameras(K, T, camera.height, camera.width)

    def _camera(self, i: int, eye: int) -> PinholeCamera:
        camera = self._rig.right if eye else self._rig.left
        if self._scene.zoom is None:
            return camera
        return zoomed(camera, self._scene.zoom.at(i / self.fps, self._frames / self.fps))

    def _pose(self, i: int, eye: int) -> np.ndarray:
        """4x4 camera-to-world of a raw eye: rectified = R @ raw."""
        rectified = self._scene.camera.at(i / self.fps)
        offset = np.array([eye * BASELINE, 0, 0])
        R = self._rig.R_right if eye else self._rig.R_left
        return rectified @ se3.from_rotation(R, offset)
