"""`config/pipeline.yaml` and `docs/reference.md`, made of the tables that the node itself uses.

`python -m endosfm3d_ros.nodes.node.reference CHECKOUT` writes both anew; a test compares.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from textwrap import wrap

import yaml

from endosfm3d_ros.files.atomic import write_text
from endosfm3d_ros.nodes.messages.output import Topic
from endosfm3d_ros.nodes.node.parameter_table import SPECS, Spec
from endosfm3d_ros.nodes.outputs.catalogue import all_topics

WIDTH = 96


def parameter_file() -> str:
    """Every parameter with its default, its meaning above it."""
    lines = [
        "# Parameters of the pipeline node, as docs/reference.md lists them.",
        "# Made by `python -m endosfm3d_ros.nodes.node.reference .`; edit a copy, or the table.",
        "/**:",
        "  ros__parameters:",
    ]
    for spec in SPECS:
        comments = wrap(spec.meaning, WIDTH) + wrap(_accepted(spec), WIDTH)
        lines += [f"    # {comment}" for comment in comments]
        lines += [f"    {spec.name}: {_scalar(spec.default)}"]
    return "\n".join(lines) + "\n"


def reference_page() -> str:
    """Parameters and topics as tables."""
    parameters = [
        f"| `{spec.name}` | `{json.dumps(spec.default)}` | {spec.meaning} | {_accepted(spec)} |"
        for spec in SPECS
    ]
    topics = [
        f"| `~/{name}` | {topic.kind.__name__} | {topic.meaning} | {_when(topic)} |"
        for name, topic in all_topics().items()
    ]
    return "\n".join(
        [
            "# Parameters and topics",
            "",
            "Made by `python -m endosfm3d_ros.nodes.node.reference .` of the tables in the code.",
            "",
            "## Parameters",
            "",
            "Only those marked *live* may change while the node is configured.",
            "",
            "| name | default | meaning | accepted |",
            "|---|---|---|---|",
            *parameters,
            "",
            "## Topics of the scene",
            "",
            "Below the node's name. The optical frame is the header's frame; every message carries",
            "the stamp of the image that it was computed from.",
            "",
            "| topic | type | meaning | when |",
            "|---|---|---|---|",
            *topics,
            "",
        ]
    )


def _accepted(spec: Spec) -> str:
    said = [f"one of {', '.join(spec.choices)}"] if spec.choices else []
    if spec.low is not None:
        said.append(f"{_number(spec.low)} to {_number(spec.high)}")
    return "; ".join(said + ["live"] * spec.live)


def _number(value: float) -> str:
    return f"{value:,.3f}".rstrip("0").rstrip(".")


def _when(topic: Topic) -> str:
    when = "every image" if topic.always else "where somebody listens"
    return when + ", latched" * topic.latched


def _scalar(value: object) -> str:
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("\n...\n").strip()


def main(checkout: str) -> None:
    """Write both files of a checkout."""
    write_text(Path(checkout, "config", "pipeline.yaml"), parameter_file())
    write_text(Path(checkout, "docs", "reference.md"), reference_page())


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else ".")
