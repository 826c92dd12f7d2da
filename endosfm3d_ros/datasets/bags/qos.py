"""Quality of service as bags record it: names in newer ones, numbers in older ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

BEST_EFFORT = ("best_effort", 2)
TRANSIENT_LOCAL = ("transient_local", 1)


@dataclass(frozen=True)
class Qualities:
    """What a recorded publisher offered, as far as it matters for playing it again."""

    best_effort: bool = False
    latched: bool = False


def offered_qualities(recorded: Any) -> Qualities:
    """Of the first profile of a topic: YAML text or list, as `BagFile.qos` gives it."""
    if isinstance(recorded, str):
        try:
            recorded = YAML(typ="safe", pure=True).load(recorded)
        except YAMLError:
            return Qualities()
    first = recorded[0] if isinstance(recorded, list) and recorded else {}
    if not isinstance(first, dict):
        return Qualities()
    return Qualities(
        best_effort=_lower(first.get("reliability")) in BEST_EFFORT,
        latched=_lower(first.get("durability")) in TRANSIENT_LOCAL,
    )


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value
