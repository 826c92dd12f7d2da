"""What the importable TensorRT module offers: classes, members, arguments, results.

`python test/support/tensorrt_surface.py > test/engines/tensorrt_surface.json` writes the surface of
the installed `tensorrt_rtx`, apart from the differences of other versions, which are kept.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

TABLE = Path(__file__).resolve().parents[1] / "engines" / "tensorrt_surface.json"
CLASSES = (
    "Builder",
    "IBuilderConfig",
    "INetworkDefinition",
    "ITensor",
    "OnnxParser",
    "ParserError",
    "Runtime",
    "ICudaEngine",
    "IExecutionContext",
    "IHostMemory",
    "ITimingCache",
    "ILogger",
    "IProgressMonitor",
)
ENUMS = ("BuilderFlag", "NetworkDefinitionCreationFlag", "TensorIOMode", "DataType")
SIGNATURE = re.compile(r"^(?:\d+\. )?\w+\((?P<arguments>.*)\) -> (?P<result>.+)$", re.M)


def surface_of(module) -> dict:
    """{class: {member: [[argument names], ..] of a method, or None of a property}}."""
    surface = {name: _members(getattr(module, name)) for name in CLASSES}
    return surface | {name: sorted(getattr(module, name).__members__) for name in ENUMS}


def _members(kind: type) -> dict:
    found = {}
    for name in sorted(vars(kind)):
        if name.startswith("_") and name != "__init__":
            continue
        member = vars(kind)[name]
        found[name] = _overloads(member) if callable(member) else None
    return found


def _overloads(method) -> list[list[str]]:
    """Argument names of every way to call a bound C++ method; those with defaults end in "?"."""
    found = []
    for match in SIGNATURE.finditer(method.__doc__ or ""):
        arguments = _split(match["arguments"])
        if arguments == ["*args", "**kwargs"]:
            continue
        found.append([_name(argument) for argument in arguments if not argument.startswith("self")])
    return found


def _split(arguments: str) -> list[str]:
    """At commas outside of brackets."""
    parts, depth, start = [], 0, 0
    for position, letter in enumerate(arguments):
        depth += (letter in "[(<") - (letter in "])>")
        if letter == "," and depth == 0:
            parts.append(arguments[start:position].strip())
            start = position + 1
    return [part for part in [*parts, arguments[start:].strip()] if part]


def _name(argument: str) -> str:
    name = re.split("[:=]", argument, maxsplit=1)[0].strip()
    return name + ("?" if "=" in argument else "")


def load_table() -> dict:
    """The checked-in surface and the differences of other versions."""
    return json.loads(TABLE.read_text())


def flavoured(version: str) -> dict:
    """The surface of "tensorrt_rtx", or of a TensorRT version by its differences from that."""
    table = load_table()
    surface = json.loads(json.dumps(table["tensorrt_rtx"]["surface"]))
    if version == "tensorrt_rtx":
        return surface
    difference = table["differences"][version]
    for path in difference["absent"]:
        owner, name = path.split(".")
        members = surface[owner]
        members.remove(name) if isinstance(members, list) else members.pop(name)
    for path in difference["present"]:
        owner, name = path.split(".")
        members = surface[owner]
        members.append(name) if isinstance(members, list) else members.__setitem__(name, None)
    return surface


if __name__ == "__main__":
    import sys

    import tensorrt_rtx

    content = load_table() if TABLE.is_file() else {"differences": {}}
    content["tensorrt_rtx"] = {
        "version": tensorrt_rtx.__version__,
        "surface": surface_of(tensorrt_rtx),
    }
    json.dump(content, sys.stdout, indent=1, sort_keys=True)
