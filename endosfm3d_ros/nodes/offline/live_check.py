"""Listens to the inputs as the pipeline would, and tells what it would make of them."""

from __future__ import annotations

from time import monotonic

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.inputs.parts import NAMES, rank_of
from endosfm3d_ros.inputs.report import Action, Entry, Severity
from endosfm3d_ros.nodes.health.guard import Guard
from endosfm3d_ros.nodes.health.health import Health
from endosfm3d_ros.nodes.inputs.receiver import FrameReceiver
from endosfm3d_ros.nodes.node import parameters
from endosfm3d_ros.types import Frame


def listen(
    seconds: float, remaps: list[str], settings: list[str]
) -> tuple[list[tuple[str, str]], list[Entry]]:
    """What the inputs are, and everything worth saying about them.

    Args:
        seconds: how long.
        remaps: "from:=to" as for the pipeline.
        settings: "name:=value" as for the pipeline.

    Raises:
        ConfigurationError: a parameter or remapping that ROS does not take.
    """
    arguments = [part for text in remaps for part in ("-r", text)]
    arguments += [part for text in settings for part in ("-p", text)]
    try:
        rclpy.init(args=["--ros-args", *arguments] if arguments else [])
    except Exception as error:
        raise ConfigurationError(f"{' '.join(arguments)}: {error}") from error
    try:
        return _listen(seconds)
    finally:
        rclpy.try_shutdown()


def _listen(seconds: float) -> tuple[list[tuple[str, str]], list[Entry]]:
    node = Node("endosfm3d_check")
    try:
        parameters.declare(node)
    except Exception as error:
        raise ConfigurationError(str(error)) from error
    frames: list[Frame] = []
    health = Health()
    receiver = FrameReceiver(
        node,
        parameters.values_of(node),
        health,
        Guard(node, health),
        on_frame=lambda frame: frames.__setitem__(slice(None), [*frames[-1:], frame]),
        on_jump=lambda _: None,
    )
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    end, look = monotonic() + seconds, 0.0
    while monotonic() < end:
        executor.spin_once(timeout_sec=0.05)
        if monotonic() > look:
            receiver.discover()
            look = monotonic() + 0.1
    entries = list(receiver.report.entries)
    entries += [
        Entry(receiver.image_topic, Action.REFUSED, f"{count} times: {reason}")
        for reason, count in (health.rejected + receiver.assembler.rejected).items()
    ]
    if not health.received:
        entries.insert(0, _nothing(receiver))
    facts = list(_facts(receiver, health, frames, seconds))
    receiver.close()
    node.destroy_node()
    return facts, entries


def _nothing(receiver: FrameReceiver) -> Entry:
    return Entry(
        receiver.image_topic, Action.MISSING, f"no image; {receiver.describe()}",
        "remap image_raw, or start the camera", Severity.ERROR,
    )  # fmt: skip


def _facts(
    receiver: FrameReceiver, health: Health, frames: list[Frame], seconds: float
) -> list[tuple[str, str]]:
    """What was heard, as (name, value)."""
    found = [("images", f"{health.received} in {seconds:g} s on {receiver.image_topic}")]
    if not frames:
        return found
    frame = frames[-1]
    height, width = frame.image.shape[:2]
    found.append(("size", f"{width} x {height} px"))
    if frame.camera is not None:
        camera = frame.camera
        found.append(("camera", f"fx {camera.fx:.1f}, fy {camera.fy:.1f}, cx {camera.cx:.1f}, "
                      f"cy {camera.cy:.1f} px, {len(camera.distortion)} coefficients"))  # fmt: skip
    if frame.stereo is not None:
        found.append(("pair", f"baseline {frame.stereo.baseline * 1e3:.2f} mm"))
    found.append(("depth from", NAMES[rank_of(frame)]))
    return found
