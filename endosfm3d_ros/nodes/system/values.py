"""What people write for a parameter, and what they mean: booleans, whole numbers, names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from endosfm3d_ros.errors import ConfigurationError

TRUE = ("true", "yes", "on", "1", "y", "t")
FALSE = ("false", "no", "off", "0", "n", "f")
UNDERSTOOD = "true, false, yes, no, on, off, 1 or 0"
OF_ROS = ("use_sim_time", "qos_overrides.", "start_type_description_service")


def boolean(text: str, name: str = "value") -> bool:
    """The one reading of booleans, whatever the case.

    Raises:
        ConfigurationError: it is none.
    """
    word = text.strip().lower()
    if word not in (*TRUE, *FALSE):
        raise ConfigurationError(f"{name}: '{text}' is none of {UNDERSTOOD}")
    return word in TRUE


def meant(value: Any, default: Any, choices: tuple[str, ...] = ()) -> Any:
    """The value in the type of the default, where it is plain what is meant; else unchanged.

    YAML reads `tools: off` and `publish_tf: true` as booleans and `cloud_rate: 5` as a whole
    number, and a command line may hand any of them over as text.
    """
    if isinstance(default, bool):
        if isinstance(value, int | str) and str(value).strip().lower() in (*TRUE, *FALSE):
            return boolean(str(value))
    elif isinstance(default, float):
        if type(value) is int:
            return float(value)
    elif isinstance(default, int):
        if isinstance(value, float) and value.is_integer():
            return int(value)
    elif isinstance(value, bool):
        words = [word for word in choices if word in (TRUE if value else FALSE)]
        return words[0] if len(words) == 1 else value
    return value


def refuse_unknown(given: Iterable[str], known: Iterable[str]) -> None:
    """A misspelt parameter would leave its default in force without a word.

    Raises:
        ConfigurationError: a name that is not known, with the nearest one that is.
    """
    known = list(known)
    for name in given:
        if name in known or name.startswith(OF_ROS):
            continue
        near = get_close_matches(name, known, 1, 0.0)
        raise ConfigurationError(
            f"unknown parameter '{name}'" + (f": did you mean '{near[0]}'?" if near else "")
        )


def check_frames(values: Mapping[str, Any]) -> None:
    """Names that TF accepts, all different.

    Raises:
        ConfigurationError: a name is empty, starts with a slash, holds spaces, or comes twice.
    """
    names = {key: values[key] for key in ("map_frame", "odom_frame")}
    if values["camera_frame_id"]:
        names["camera_frame_id"] = values["camera_frame_id"]
    for key, name in names.items():
        if not name or name.startswith("/") or any(c.isspace() for c in name):
            raise ConfigurationError(
                f"{key}: '{name}' is no TF frame, a name without spaces and without a slash in "
                "front is accepted"
            )
    if len(set(names.values())) < len(names):
        said = ", ".join(f"{key} '{name}'" for key, name in names.items())
        raise ConfigurationError(f"{said}: frames must differ, a frame cannot be its own parent")
