"""`report.html`: everything about a run on one page that needs no network and no other file."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from endosfm3d_ros.files.atomic import write_text
from endosfm3d_ros.run_folder.grade import Grade
from endosfm3d_ros.run_folder.stills import Still
from endosfm3d_ros.web import asset

NAME = "report.html"
NOTICE = "Research software: not a medical device, not for clinical use."
SEVERITIES = ("note", "warn", "error")
FILES = {  # what the names of a run folder mean, in the order of use
    "scene.ply": "complete cloud in the map frame",
    "scene.glb": "surface of the tissue and instruments, same frame",
    "map.ply": "tissue map for viewers of Gaussian splats",
    "map.splat": "the same for web viewers",
    "map.npz": "tissue map that can be loaded again",
    "tool_*.ply": "instruments as closed meshes, each in its own frame",
    "film.mp4": "image, depth and tissue of every frame",
    "contact_sheet.png": "image, depth and confidence of a few frames",
    "poses_tum.txt": "camera-to-map: stamp tx ty tz qx qy qz qw",
    "poses_kitti.txt": "camera-to-map: 3x4 matrix per frame",
    "camera.json": "the camera as estimated, in the format of clip folders",
    "depth": "depth of every frame, with depth.json",
    "figures": "the curves above as PNG and PDF",
    "bag": "every output topic as a ROS 2 bag (MCAP)",
    "summary.json": "the numbers of this page for programs",
    "config.yaml": "makes this run again: endosfm3d run --config config.yaml --out AGAIN",
}


@dataclass(frozen=True)
class Page:
    """What the page is made of."""

    name: str  # of the recording
    made: str  # when and how, one line
    grade: Grade
    facts: Mapping[str, str]  # large numbers, by what they are
    summary: Mapping[str, Any]  # small numbers
    latencies: Mapping[str, tuple[float, float]]  # stage -> median, 95th percentile, ms
    remarks: Sequence[tuple[int, str]]  # (severity 0..2, sentence)
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    scene: Mapping[str, Any]  # of `web.scene_data`
    stills: Sequence[Still]


def write_page(folder: Path, page: Page, figures: Iterable[Path]) -> None:
    """Write the page into the folder of the run, whose files it lists."""
    values = {
        "title": escape(f"{page.name}: endosfm3d run"),
        "name": escape(page.name),
        "made": escape(page.made),
        "grade": page.grade.word,
        "notice": escape(NOTICE),
        "reasons": _list([(1, reason) for reason in page.grade.reasons]),
        "facts": "".join(_fact(value, name) for name, value in page.facts.items()),
        "film": _film(page.stills),
        "figures": "".join(_figure(path) for path in figures),
        "numbers": _table(page.summary),
        "latencies": _latencies(page.latencies),
        "remarks": _list(page.remarks) or "<p class='soft'>Nothing.</p>",
        "settings": _table(page.settings),
        "versions": _table(page.versions),
        "files": _table({name: said for name, said in FILES.items() if any(folder.glob(name))}),
        "scene": _json(page.scene),
        "frames": _json([_frame(still) for still in page.stills]),
        "style": asset("style.css"),
        "viewer": asset("viewer.js"),
        "script": asset("report.js"),
    }
    write_text(folder / NAME, Template(asset("report.html")).substitute(values))


def _json(content: object) -> str:
    """JSON that cannot end the script it stands in."""
    return json.dumps(content).replace("<", "\\u003c")


def _fact(value: str, name: str) -> str:
    return f"<div class='fact'><b>{escape(value)}</b><span>{escape(name)}</span></div>"


def _frame(still: Still) -> dict[str, str]:
    return {"image": still.uri(), "caption": f"frame {still.number}, {still.seconds:.2f} s"}


def _film(stills: Sequence[Still]) -> str:
    if not stills:
        return ""
    return (
        "<h2>Film</h2><div class='film'><img id='picture' alt='image, depth, tissue'>"
        f"<div class='panel'><button id='play'>Play</button><input type='range' id='slide' min='0' "
        f"max='{len(stills) - 1}' value='0'><span id='caption' class='soft'></span></div></div>"
    )


def _figure(path: Path) -> str:
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    return f"<img class='figure' alt='{escape(path.stem)}' src='data:image/png;base64,{content}'>"


def _list(entries: Iterable[tuple[int, str]]) -> str:
    rows = [f"<li class='{SEVERITIES[level]}'>{escape(said)}</li>" for level, said in entries]
    return f"<ul>{''.join(rows)}</ul>" if rows else ""


def _table(rows: Mapping[str, Any]) -> str:
    cells = [f"<tr><td>{escape(name)}</td><td><code>{escape(_said(value))}</code></td></tr>"
             for name, value in rows.items()]  # fmt: skip
    return f"<table>{''.join(cells)}</table>"


def _said(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "" if value is None else str(value)


def _latencies(latencies: Mapping[str, tuple[float, float]]) -> str:
    head = "<tr><th>stage</th><th>median, ms</th><th>95 %, ms</th></tr>"
    rows = [
        f"<tr><td>{escape(name)}</td><td class='number'>{p50:.1f}</td>"
        f"<td class='number'>{p95:.1f}</td></tr>"
        for name, (p50, p95) in latencies.items()
    ]
    return f"<table>{head}{''.join(rows)}</table>"
