"""Bags written message by message, StereoMIS folders and a simulated clip."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from endosfm3d_ros.datasets.clips.writer import write_clip
from endosfm3d_ros.datasets.simulation.simulator import SimulatedSequence

STORE = get_typestore(Stores.ROS2_JAZZY)
MS = 1_000_000


def message(kind: str, **fields: Any) -> Any:
    return STORE.types[kind](**fields)


def header(stamp: int, frame_id: str = "left_optical") -> Any:
    time = message("builtin_interfaces/msg/Time", sec=stamp // 10**9, nanosec=stamp % 10**9)
    return message("std_msgs/msg/Header", stamp=time, frame_id=frame_id)


@dataclass
class BagMaker:
    """Collects messages, then writes them in the order they were added."""

    rows: list[tuple[str, Any, int]] = field(default_factory=list)
    silent: dict[str, str] = field(default_factory=dict)  # type by topic, listed without messages

    def add(self, topic: str, content: Any, time: int) -> None:
        self.rows.append((topic, content, time))

    def image(
        self, topic: str, stamp: int, pixels: np.ndarray, encoding: str = "rgb8", **changes: Any
    ) -> None:
        height, width = pixels.shape[:2]
        raw = np.ascontiguousarray(pixels).reshape(-1).view(np.uint8)
        fields = {
            "header": header(stamp), "height": height, "width": width, "encoding": encoding,
            "is_bigendian": 0, "step": raw.size // max(height, 1), "data": raw,
        }  # fmt: skip
        content = message("sensor_msgs/msg/Image", **{**fields, **changes})
        self.add(topic, content, stamp)

    def compressed(self, topic: str, stamp: int, pixels: np.ndarray, suffix: str = "png") -> None:
        bgr = pixels[..., ::-1] if pixels.ndim == 3 else pixels
        data = np.frombuffer(cv2.imencode(f".{suffix}", bgr)[1].tobytes(), np.uint8)
        content = message(
            "sensor_msgs/msg/CompressedImage", header=header(stamp), format=suffix, data=data
        )
        self.add(topic, content, stamp)

    def info(self, topic: str, stamp: int, size: tuple[int, int], **changes: Any) -> None:
        width, height = size
        K = np.array([50.0, 0, 20, 0, 51.0, 15, 0, 0, 1])
        P = np.array([50.0, 0, 20, 0, 0, 50.0, 15, 0, 0, 0, 1, 0])
        roi = message(
            "sensor_msgs/msg/RegionOfInterest",
            x_offset=0, y_offset=0, height=0, width=0, do_rectify=False,
        )  # fmt: skip
        fields = {
            "header": header(stamp), "height": height, "width": width, "d": np.zeros(5),
            "distortion_model": "plumb_bob", "k": K, "r": np.eye(3).ravel(), "p": P,
            "binning_x": 0, "binning_y": 0, "roi": roi,
        }  # fmt: skip
        self.add(topic, message("sensor_msgs/msg/CameraInfo", **{**fields, **changes}), stamp)

    def pose(self, topic: str, stamp: int, translation: tuple[float, float, float]) -> None:
        x, y, z = translation
        content = message(
            "geometry_msgs/msg/PoseStamped",
            header=header(stamp, "world"),
            pose=message(
                "geometry_msgs/msg/Pose",
                position=message("geometry_msgs/msg/Point", x=x, y=y, z=z),
                orientation=message("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0),
            ),
        )
        self.add(topic, content, stamp)

    def transform(self, stamp: int, parent: str, child: str, x: float) -> None:
        """On /tf."""
        stamped = self._stamped(stamp, parent, child, x)
        self.add("/tf", message("tf2_msgs/msg/TFMessage", transforms=[stamped]), stamp)

    def transform_stamped(self, topic: str, stamp: int, x: float) -> None:
        """On a topic of its own."""
        self.add(topic, self._stamped(stamp, "base", "tool", x), stamp)

    def _stamped(self, stamp: int, parent: str, child: str, x: float) -> Any:
        vector = message("geometry_msgs/msg/Vector3", x=x, y=0.0, z=0.0)
        rotation = message("geometry_msgs/msg/Quaternion", x=0.0, y=0.0, z=0.0, w=1.0)
        motion = message("geometry_msgs/msg/Transform", translation=vector, rotation=rotation)
        return message(
            "geometry_msgs/msg/TransformStamped",
            header=header(stamp, parent),
            child_frame_id=child,
            transform=motion,
        )

    def write(
        self,
        path: Path,
        storage: StoragePlugin = StoragePlugin.MCAP,
        compression: CompressionMode = CompressionMode.NONE,
    ) -> Path:
        writer = Writer(path, version=9, storage_plugin=storage)
        writer.set_compression(compression, CompressionFormat.ZSTD)
        with writer:
            connections = {}
            for topic, kind in self.silent.items():
                writer.add_connection(topic, kind, typestore=STORE)
            for topic, content, time in self.rows:
                kind = content.__msgtype__
                if topic not in connections:
                    connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
                writer.write(connections[topic], time, STORE.serialize_cdr(content, kind))
        return path


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Small renders wait longer for a second thread on a busy machine than it saves."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def maker() -> BagMaker:
    """An empty bag."""
    return BagMaker()


@pytest.fixture
def pictures() -> np.ndarray:
    """(12, 30, 40, 3) uint8 noise: no two frames alike."""
    return np.random.default_rng(3).integers(0, 256, (12, 30, 40, 3), np.uint8)


@pytest.fixture
def stereo_bag(maker: BagMaker, pictures: np.ndarray) -> BagMaker:
    """Six stereo pairs at 10 Hz as a dVRK names them, with P[3] of a 5 mm baseline."""
    right_P = np.array([50.0, 0, 20, -0.25, 0, 50.0, 15, 0, 0, 0, 1, 0])
    for i in range(6):
        stamp = (10 + i) * 100 * MS
        maker.info("/rig/left/camera_info", stamp, (40, 30))
        maker.info("/rig/right/camera_info", stamp, (40, 30), p=right_P)
        maker.image("/rig/left/image_raw", stamp, pictures[i])
        maker.image("/rig/right/image_raw", stamp, pictures[6 + i])
    return maker


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated stereo clip of 4 frames with exact images; raw eyes, so R and P matter."""
    path = tmp_path_factory.mktemp("clips") / "rotated"
    clip = SimulatedSequence("rotated", frames=4, width=160, height=128, fps=12.5)
    write_clip(clip, path, image_format="png")
    return path


INI_EYE = """[{name}]
res_x = {width}  \nres_y = {height}\t
fc_x = {focal}
fc_y = {focal}

cc_x = 31.5
cc_y = 23.5
kc_0 = 0.01
kc_1 = -0.02
kc_2 = 0.0
kc_3 = 0.0
kc_4 = 0.003
kc_5 = {k6}
kc_6 = 0
kc_7 = 0
"""
INI_MOTION = "".join(f"R_{i} = {float(i % 4 == 0)} \n" for i in range(9)) + "T_0 = {x}\n"


@dataclass
class StereoMISMaker:
    """The files of a sequence folder: 12 frames of grey steps, left above right, at 12.5 Hz."""

    folder: Path
    size: tuple[int, int] = (64, 48)
    frames: int = 12

    def video(self, name: str = "P9.mp4") -> None:
        width, height = self.size
        self.folder.mkdir(exist_ok=True)
        codec = cv2.VideoWriter_fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(self.folder / name), codec, 12.5, (width, 2 * height))
        for i in range(self.frames):
            stacked = np.full((2 * height, width, 3), 20 * i, np.uint8)
            stacked[height:] += 10
            writer.write(stacked)
        writer.release()

    def ini(self, size: tuple[int, int] = (64, 48), x: str = "-4.2", k6: float = 0.0) -> None:
        eyes = [
            INI_EYE.format(name=name, width=size[0], height=size[1], focal=focal, k6=k6)
            for name, focal in (("StereoLeft", 55.0), ("StereoRight", 55.5))
        ]
        motion = INI_MOTION + "T_1 = 0.02\nT_2 = 0.03\n\n\n"
        text = eyes[0] + "\n" + motion.format(x=0) + "\n" + eyes[1] + motion.format(x=x)
        (self.folder / "StereoCalibration.ini").write_text(text)

    def truth(self) -> None:
        rows = [f"{i} {0.001 * i} 0 0 0 0 0 1\n" for i in range(self.frames)]
        (self.folder / "groundtruth.txt").write_text(
            "# frame, position, rotation\n" + "".join(rows)
        )

    def mask(self, number: int, shape: tuple[int, int] = (48, 64)) -> None:
        """Valid everywhere but in a column of that number."""
        (self.folder / "masks").mkdir(exist_ok=True)
        valid = np.full(shape, 255, np.uint8)
        valid[:, number * shape[1] // 64] = 0
        cv2.imwrite(str(self.folder / "masks" / f"{number:06d}l.png"), valid)

    def split(self, name: str, rows: str) -> None:
        (self.folder / f"{name}_split.csv").write_text(f"start,end\n{rows}")


@pytest.fixture
def stereomis(tmp_path: Path) -> StereoMISMaker:
    """A folder with a video and its calibration."""
    made = StereoMISMaker(tmp_path / "P9")
    made.video()
    made.ini()
    return made


@pytest.fixture
def run_command() -> Callable[..., Any]:
    """Runs `endosfm3d` in this process."""
    from typer.testing import CliRunner

    from endosfm3d_ros.cli.main import build_app

    def run(*arguments: object) -> Any:
        return CliRunner().invoke(build_app(), [str(argument) for argument in arguments])

    return run
