"""What stands around the code agrees with it: manifest, pins, notices, citation, workflows."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from ruamel.yaml import YAML

import endosfm3d_ros

ROOT = Path(__file__).resolve().parents[2]
# ROS packages whose Python modules have the names of the packages.
ROS = re.compile(
    r"^(rclpy|launch|launch_ros|ament_index_python|rcl_interfaces|[a-z0-9_]+_(msgs|srvs))$"
)


def yaml(path: str) -> dict:
    return YAML(typ="safe").load((ROOT / path).read_text())


def imported() -> set[str]:
    """First names of every module that the package or its launch file imports."""
    found = set()
    for path in [*(ROOT / "endosfm3d_ros").rglob("*.py"), *(ROOT / "launch").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module.split(".")[0])
            elif isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
    return found


def manifest() -> ElementTree.Element:
    return ElementTree.parse(ROOT / "package.xml").getroot()


def test_the_manifest_names_every_ros_package_that_is_imported():
    named = {each.text for each in manifest() if each.tag.endswith("depend")}
    assert {name for name in imported() if ROS.match(name)} <= named


def test_the_manifest_has_an_address():
    assert [url.text for url in manifest().iter("url")]


def test_the_version_is_the_same_everywhere():
    found = {
        "package.xml": manifest().findtext("version"),
        "CITATION.cff": yaml("CITATION.cff")["version"],
        "setup.py": re.search(r'version="(.*?)"', (ROOT / "setup.py").read_text())[1],
    }
    assert found == dict.fromkeys(found, endosfm3d_ros.__version__)


def test_the_citation_is_complete():
    citation = yaml("CITATION.cff")
    for field in ("cff-version", "message", "title", "authors", "license"):
        assert citation[field]
    assert citation["preferred-citation"]["identifiers"][0]["value"] == "arXiv:2510.22359"


def test_notices_and_bill_of_materials_are_of_the_pins():
    path = ROOT / ".ci" / "third_party.py"
    spec = importlib.util.spec_from_file_location("third_party", path)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    table = re.findall(r"^\| (\S+) \| (\S+) \|", script.TABLE.read_text(), re.MULTILINE)
    assert table[1:] == script.pins()  # the first row is the heading
    parts = json.loads(script.SBOM.read_text())["components"]
    assert [(part["name"], part["version"]) for part in parts] == script.pins()


def test_every_requirement_has_a_pin():
    pinned = {name.lower() for name in re.findall(
        r"^([A-Za-z0-9_.-]+)(?===|<|>=)", (ROOT / "constraints.txt").read_text(), re.MULTILINE
    )}  # fmt: skip
    wanted = set()
    for path in (ROOT / "resource" / "requirements").glob("*.txt"):
        if path.stem not in ("tensorrt", "gpu"):
            rows = path.read_text().splitlines()
            wanted |= {re.match(r"[A-Za-z0-9_.-]+", row)[0].lower() for row in rows if row}
    assert wanted - pinned <= {"ninja", "tensorrt-cu13"}, wanted - pinned


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml"), key=str), ids=str)
def test_files_for_the_code_host_are_yaml(path):
    assert YAML(typ="safe").load(path.read_text())


def test_the_workflow_calls_what_is_there():
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    for name in (".ci/run", "test/test_pipeline_launch.py", "bootstrap.py"):
        assert name in text and (ROOT / name).exists()
    assert "ros:jazzy" in text


def test_the_container_copies_what_is_there():
    text = (ROOT / "docker" / "Dockerfile").read_text()
    for name in re.findall(r"^COPY (\S+) ", text, re.MULTILINE):
        assert (ROOT / name).exists(), name
    assert "ENDOSFM3D_TORCH_INDEX" in (ROOT / "bootstrap.py").read_text()
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert (ROOT / ".devcontainer" / container["build"]["dockerfile"]).resolve().is_file()


def test_the_site_has_every_page_and_names_that_there_are():
    text = (ROOT / "mkdocs.yml").read_text()
    pages = set(re.findall(r"([a-z_]+\.md)", text))
    assert pages == {path.name for path in (ROOT / "docs").glob("*.md")}
    for name in re.findall(r"^::: (\S+)", (ROOT / "docs" / "api.md").read_text(), re.MULTILINE):
        module, _, member = name.rpartition(".")
        assert getattr(importlib.import_module(module), member).__doc__, name


def endosfm3d(*arguments: str, **environment: str) -> subprocess.CompletedProcess:
    program = (
        "import sys; sys.argv[0] = 'endosfm3d'; from endosfm3d_ros.cli.main import main; main()"
    )
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_the_command_says_its_version():
    done = endosfm3d("--version")
    assert done.stdout.split() == ["endosfm3d_ros", endosfm3d_ros.__version__]


def test_the_shell_completes_commands():
    words = {
        "_ENDOSFM3D_COMPLETE": "complete_bash",
        "COMP_WORDS": "endosfm3d ev",
        "COMP_CWORD": "1",
    }
    done = endosfm3d(**words)
    assert "evaluate" in done.stdout.split(), done.stderr
