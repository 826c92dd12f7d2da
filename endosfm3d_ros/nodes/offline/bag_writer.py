"""ROS messages into an MCAP bag that `ros2 bag` and Foxglove open; needs no ROS graph."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from rclpy.serialization import serialize_message
from rosbags.interfaces import (
    Connection,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from endosfm3d_ros.datasets.bags.layout import METADATA
from endosfm3d_ros.datasets.bags.mcap_seal import seal
from endosfm3d_ros.datasets.formats.names import shown
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.atomic import atomic_folder
from endosfm3d_ros.nodes.system.share import message_definitions

FOREVER = QosTime(9223372036, 854775807)  # RMW_DURATION_INFINITE


class BagWriter:
    """Writes one bag; the folder appears when the block ends well, and not at all otherwise.

    Args:
        target: folder to make.
        force: replace an older bag there.
        packed: compress chunks with zstd, as `ros2 bag` and Foxglove read them.

    Raises:
        ConfigurationError: the target exists, cannot be written, or has a name that is no UTF-8.
    """

    def __init__(self, target: Path, force: bool = False, packed: bool = False) -> None:
        _require_printable(target)
        self._stack = ExitStack()
        self._folder = atomic_folder(target, "metadata.yaml", force)
        self._packed = packed
        self._connections: dict[str, Connection] = {}
        self._types = get_typestore(Stores.ROS2_JAZZY)
        for name, text in message_definitions().items():
            self._types.register(get_types_from_msg(text, f"endosfm3d_ros/msg/{name}"))

    def __enter__(self) -> BagWriter:
        folder = self._stack.enter_context(self._folder)
        self._stack.callback(_seal, folder)  # once the writer has closed its file
        writer = Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP)
        if self._packed:
            writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
        self._writer = self._stack.enter_context(writer)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def write(self, topic: str, message: object, stamp: int, latched: bool = False) -> None:
        """One message with its log time in nanoseconds.

        Args:
            topic: absolute name.
            message: a real ROS message.
            stamp: nanoseconds.
            latched: whether a player should offer it to late joiners.
        """
        self.write_serialised(topic, type(message), serialize_message(message), stamp, latched)

    def write_serialised(
        self, topic: str, kind: type, content: bytes, stamp: int, latched: bool = False
    ) -> None:
        """The same for a message of a type as it is sent."""
        if topic not in self._connections:
            self._connections[topic] = self._connect(topic, kind, latched)
        self._writer.write(self._connections[topic], stamp, content)

    def _connect(self, topic: str, kind: type, latched: bool) -> Connection:
        package, _, _ = kind.__module__.partition(".")
        name = f"{package}/msg/{kind.__name__}"
        return self._writer.add_connection(
            topic, name, typestore=self._types, offered_qos_profiles=[_profile(latched)]
        )


def _seal(folder: Path) -> None:
    for file in folder.glob("*.mcap"):
        seal(file)


def _require_printable(target: Path) -> None:
    """rosbags writes the name into metadata.yaml."""
    try:
        target.name.encode()
    except UnicodeEncodeError as error:
        raise ConfigurationError(
            f"{shown(target)}: the name of a bag has to be UTF-8, because {METADATA} holds it"
        ) from error


def _profile(latched: bool) -> Qos:
    durability = QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=1 if latched else 10,
        reliability=QosReliability.RELIABLE,
        durability=durability,
        deadline=FOREVER,
        lifespan=FOREVER,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=FOREVER,
        avoid_ros_namespace_conventions=False,
    )
