"""The house plan of docs/architecture.md: nothing is imported from a floor above."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "endosfm3d_ros"
GENERATED = {"msg", "srv", "__version__"}
ROW = re.compile(r"^\| (\d) \| (.*?) \|", re.MULTILINE)


def floors() -> dict[str, float]:
    """{room: floor} of the table; of two names joined by `then` the second stands higher."""
    table = (ROOT / "docs" / "architecture.md").read_text()
    return {
        name: int(number) + 0.5 * (" then " in rooms and rooms.index(" then ") < rooms.index(name))
        for number, rooms in ROW.findall(table)
        for name in re.findall(r"`([a-z_0-9]+)/?`", rooms)
    }


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports when it runs; not those that only type checkers read."""
    tree = ast.parse(path.read_text())
    for branch in ast.walk(tree):
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.dump(branch.test):
            branch.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            if node.module == "endosfm3d_ros":
                yield from (f"endosfm3d_ros.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def test_nothing_is_imported_from_a_floor_above():
    floor, wrong = floors(), []
    for path in sorted(PACKAGE.rglob("*.py")):
        room = room_of(path)
        for module in imports(path) if room != "__init__" else ():
            parts = module.split(".")
            if parts[0] != "endosfm3d_ros" or len(parts) < 2 or parts[1] in GENERATED:
                continue
            if floor[parts[1]] > floor[room]:
                wrong.append(f"{path.relative_to(ROOT)} imports {module}")
    assert wrong == []


def test_every_room_has_a_floor():
    rooms = {room_of(path) for path in PACKAGE.rglob("*.py")} - {"__init__"}
    assert rooms <= floors().keys()


def test_only_nodes_and_their_commands_know_ros():
    ros = {"rclpy", "sensor_msgs", "geometry_msgs", "std_msgs", "nav_msgs", "tf2_msgs", "std_srvs"}
    knowing = {
        room_of(path)
        for path in PACKAGE.rglob("*.py")
        for module in imports(path)
        if module.split(".")[0] in ros
    }
    assert knowing <= {"nodes", "cli"}


def test_the_table_is_read():
    assert floors()["geometry"] == 0 < floors()["types"] < floors()["scene"] < floors()["nodes"]
    assert floors()["scene"] == floors()["sfm"] + 0.5
