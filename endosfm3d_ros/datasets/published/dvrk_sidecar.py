"""Videos of the dVRK's recorders and the JSON beside them that says when each frame was taken.

`data_collection` writes `<camera>_<date>_<time>[_<stage>].json` with `timestamps_ns`; `dvrk_data`
(in dvrk_display) writes `<stream>[_<segment>].json` with `frames`, one object for each, and
`side_by_side` ("LR" or "RL") where both eyes are in one picture. Times are nanoseconds since 1970.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from endosfm3d_ros.errors import InputError

MARKS = (b'"timestamps_ns"', b'"dvrk_data:sidecar@', b'"dvrk_data:video_sidecar@')
# Observations of one frame, the nearest to its exposure first, as the recorder's tools rank them.
SOURCES = (("mono_source",), ("left_source", "right_source"), ("left_source",), ("right_source",))
RECEPTION = (("recorder_reception",), ("cpu_ns",), ("cpu_ts",))
MEDIA_TIMES = ("gst_ns", "gst_ts", "pts_ns")  # of the buffer, in the clock of the video
INDICES = ("frame_index",)
EYES = {"LR": "side_by_side", "RL": "side_by_side_crossed"}
SEGMENT = re.compile(r"_\d{3}$")  # after an interruption


@dataclass(frozen=True)
class Sidecar:
    """One video and the moments of its frames."""

    video: Path
    stream: str
    stamps: np.ndarray  # (N,) int64 nanoseconds since 1970, in the order of the video
    media: np.ndarray | None  # (N,) int64 nanoseconds in the video's own clock
    places: np.ndarray | None  # (N,) int64 positions of the frames in the video
    image_layout: str | None  # of both eyes in one picture: see `packing.LAYOUTS`
    dropped: int  # frames that the recorder noted, and then could not write
    late: int  # frames whose moment is that of their arrival at the recorder


def session_videos(folder: Path) -> list[Path]:
    """Videos of a folder with such a JSON beside them."""
    return [video for video in sorted(folder.glob("*.mp4")) if _is_sidecar(_beside(video))]


def read_sidecar(video: Path) -> Sidecar:
    """What the JSON beside a video says.

    Raises:
        InputError: no JSON, or frames without times.
    """
    path = _beside(video)
    try:
        content = json.loads(path.read_bytes())
        entries = content.get("frames")
        if entries:
            stamps, late = _moments(entries)
        else:
            stamps, late = np.array(content["timestamps_ns"], np.int64), 0
        stream = str(content.get("stream_name") or content.get("name") or video.stem)
        return Sidecar(
            video=video,
            stream=SEGMENT.sub("", stream),
            stamps=stamps.reshape(-1),
            media=_column(entries, MEDIA_TIMES),
            places=_column(entries, INDICES),
            image_layout=EYES.get(content.get("side_by_side")),
            dropped=int(content.get("frames_dropped") or 0),
            late=late,
        )
    except KeyError as error:
        raise InputError(f"{path} has no {error.args[0]!r}") from error
    except (OSError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InputError(f"{path} holds no times of frames: {error}") from error


def _beside(video: Path) -> Path:
    return video.with_suffix(".json")


def _is_sidecar(path: Path) -> bool:
    if not path.is_file():
        return False
    content = path.read_bytes()
    return any(mark in content for mark in MARKS)


def _moments(entries: list[dict[str, Any]]) -> tuple[np.ndarray, int]:
    """When each frame was taken, and for how many only their arrival is known."""
    stamps, late = [], 0
    for i, entry in enumerate(entries):
        found = _first(entry, SOURCES)
        if found is None:
            found, late = _first(entry, RECEPTION), late + 1
        if found is None:
            raise InputError(f"frame {i} has no time: {list(entry)[:8]} is what it has")
        stamps.append(found)
    return np.array(stamps, np.int64), late


def _first(entry: dict[str, Any], choices: tuple[tuple[str, ...], ...]) -> int | None:
    """The mean of the first observations that are there; zeros stand for none."""
    for names in choices:
        values = [int(_value(entry, name)) for name in names]
        if all(values):
            return sum(values) // len(values)
    return None


def _value(entry: dict[str, Any], name: str) -> Any:
    for key in (name, f"{name}_ns", f"cpu_realtime_{name}_ns"):
        if entry.get(key):
            return entry[key]
    return 0


def _column(entries: list[dict[str, Any]] | None, names: tuple[str, ...]) -> np.ndarray | None:
    """One number of each frame, where all have it."""
    for name in names:
        if entries and all(name in entry for entry in entries):
            return np.array([int(entry[name]) for entry in entries], np.int64)
    return None
