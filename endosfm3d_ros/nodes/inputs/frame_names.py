"""TF frame names as tf2 accepts them."""

from __future__ import annotations

DEFAULT_CAMERA_FRAME = "endoscope_left_optical_frame"


def sanitised(name: str, override: str = "") -> tuple[str, str | None]:
    """The frame to use, and a sentence to warn with once where it differs from what was sent.

    tf2 rejects names that start with a slash, which the video launch files of the dVRK send.
    """
    if override:
        return override, None
    stripped = name.lstrip("/")
    if not stripped:
        return DEFAULT_CAMERA_FRAME, (
            f"images carry the frame_id '{name}': using '{DEFAULT_CAMERA_FRAME}'; "
            "set the parameter camera_frame_id to choose another"
        )
    if stripped != name:
        return stripped, f"frame_id '{name}' starts with a slash, which tf2 rejects: '{stripped}'"
    return name, None
