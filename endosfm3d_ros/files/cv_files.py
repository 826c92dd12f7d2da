"""Floor 1: files through OpenCV, whatever they are called.

OpenCV takes paths as UTF-8 only (others end the process), `%03d` in a name for a series of images
and `name:` for a protocol. So pictures and matrices pass through memory, and videos are opened by
their absolute path, or by a link to it for as long as that takes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

# Read by OpenCV when it first meets a video: FFmpeg's own lines would surround our sentence.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2
import numpy as np

from endosfm3d_ros.errors import InputError

Opened = TypeVar("Opened")


def read_image(path: Path, flags: int) -> np.ndarray | None:
    """What `cv2.imread` reads; None where that is no picture.

    Raises:
        OSError: the file cannot be read.
    """
    content = np.frombuffer(path.read_bytes(), np.uint8)
    return cv2.imdecode(content, flags) if content.size else None


def open_video(path: Path, *parameters: int) -> cv2.VideoCapture:
    """The decoder of a video file; `isOpened` says whether it is one.

    Args:
        path: the file.
        parameters: pairs of property and value, as `cv2.VideoCapture` takes them.
    """
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)  # the caller says what is wrong
    try:
        return _with_plain_path(
            path, lambda name: cv2.VideoCapture(name, cv2.CAP_FFMPEG, list(parameters))
        )
    finally:
        cv2.setLogLevel(level)


def open_video_writer(
    path: Path, fps: float, size: tuple[int, int], codec: str = "mp4v"
) -> cv2.VideoWriter:
    """An MP4 of BGR frames of `size` (width, height); `vp09` is what browsers play."""
    code = cv2.VideoWriter_fourcc(*codec)
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)
    try:
        return _with_plain_path(path, lambda name: cv2.VideoWriter(name, code, fps, size))
    finally:
        cv2.setLogLevel(level)


def read_matrices(path: Path, names: Sequence[str]) -> dict[str, np.ndarray]:
    """The named matrices of an OpenCV YAML, XML or JSON file, where they are there.

    Raises:
        InputError: no such file.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
        storage = cv2.FileStorage(text, cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        found: dict[str, Any] = {name: storage.getNode(name).mat() for name in names}
    except (cv2.error, OSError, ValueError, SystemError) as error:
        raise InputError(f"{path} is no OpenCV file of matrices") from error
    return {name: matrix for name, matrix in found.items() if matrix is not None}


def _with_plain_path(path: Path, open_file: Callable[[str], Opened]) -> Opened:
    """Open a file under a name that OpenCV takes; what is open needs the name no longer."""
    name = os.path.abspath(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        with tempfile.TemporaryDirectory(prefix="endosfm3d_link_") as folder:
            link = Path(folder) / f"video{path.suffix if path.suffix.isascii() else ''}"
            link.symlink_to(name)
            return open_file(str(link))
    return open_file(name)
