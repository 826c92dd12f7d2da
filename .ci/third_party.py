"""Writes docs/third_party.md and docs/sbom.json from constraints.txt and what is installed here.

    .venv/bin/python .ci/third_party.py

A package that is not installed keeps the row that it had. A test compares the names and versions
with the pins, so both files are written anew whenever a pin moves.
"""

from __future__ import annotations

import json
import re
import sys
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TABLE, SBOM = ROOT / "docs" / "third_party.md", ROOT / "docs" / "sbom.json"
PIN = re.compile(r"^([A-Za-z0-9_.-]+)(==|<|>=)([^;#\s]+)")
HEAD = """# Third-party packages

Written by `.ci/third_party.py` from the pins in `constraints.txt`. None of them is part of this
package: pip fetches them. The FFmpeg libraries in the wheels of `av` and OpenCV are LGPL or GPL;
who ships an image or a machine with them passes their terms on. `docs/sbom.json` says the same in
CycloneDX.

| package | pinned | licence | from |
|---|---|---|---|
"""


def pins() -> list[tuple[str, str]]:
    """(name, version as pinned) in the order of the file; of two pins of one name, both."""
    found = [PIN.match(line) for line in (ROOT / "constraints.txt").read_text().splitlines()]
    return [(match[1], f"{match[2]}{match[3]}".removeprefix("==")) for match in found if match]


def known() -> dict[str, tuple[str, str]]:
    """{name: (licence, address)} of the table as it was."""
    rows = re.findall(r"^\| (\S+) \| \S+ \| (.*?) \| (.*?) \|$",
                      TABLE.read_text() if TABLE.exists() else "", re.MULTILINE)  # fmt: skip
    return {name: (licence, address) for name, licence, address in rows}


def described(name: str) -> tuple[str, str] | None:
    """Licence and address that a package gives itself; None where it is not installed."""
    try:
        said = metadata(name)
    except PackageNotFoundError:
        return None
    classifiers = [c.split(" :: ")[-1] for c in said.get_all("Classifier") or ()
                   if c.startswith("License") and not c.endswith("OSI Approved")]  # fmt: skip
    first = (said.get("License") or "").strip().splitlines()[:1]
    short = first[0] if first and len(first[0]) < 60 else ""
    licence = (
        said.get("License-Expression")
        or ", ".join(classifiers)
        or short
        or ros(name)
        or "see package"
    )
    pages = [url.split(", ", 1)[1] for url in said.get_all("Project-URL") or () if ", " in url]
    return licence.replace("|", "/"), said.get("Home-page") or (
        pages or [f"https://pypi.org/project/{name}"]
    )[0]


def ros(name: str) -> str:
    """What the package.xml of a ROS package says; its wheel says nothing."""
    package = name.removeprefix("ros-").replace("-", "_")
    for path in Path(sys.prefix).glob(f"**/share/{package}/package.xml"):
        return ", ".join(re.findall(r"<license[^>]*>(.*?)</license>", path.read_text()))
    return ""


def main() -> None:
    before, rows, components = known(), [], []
    for name, version in pins():
        licence, address = described(name) or before.get(
            name, ("see package", f"https://pypi.org/project/{name}")
        )
        rows.append(f"| {name} | {version} | {licence} | {address} |\n")
        components.append({
            "type": "library", "name": name, "version": version,
            "licenses": [{"license": {"name": licence}}],
            "purl": f"pkg:pypi/{name.lower()}@{version}",
        })  # fmt: skip
    TABLE.write_text(HEAD + "".join(rows))
    content = {"bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
               "components": components}  # fmt: skip
    SBOM.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
