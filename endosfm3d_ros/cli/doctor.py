"""`endosfm3d doctor`: what this machine has and lacks, in plain sentences."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from endosfm3d_ros import __version__

OK, NOTE, MISSING = "[green]ok[/green]", "[yellow]note[/yellow]", "[red]missing[/red]"
SETUP = "`python3 bootstrap.py setup`"
Row = tuple[str, str, str]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(doctor)


def doctor(
    measure: Annotated[
        bool, typer.Option(help="Also measure the updates a second to expect (ten seconds).")
    ] = True,
) -> None:
    """Say what this machine has, lacks and can do. Exit code 1 when the live node cannot run.

    Example: endosfm3d doctor
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    rows = [*_machine(), *_ros(), *_launch(), *_gpu(), *_engines(), *_weights(), *_transport()]
    if measure:
        rows += _speed()
    table = Table("", "part", "finding", show_lines=False)
    for row in rows:
        state, part, finding = row
        table.add_row(state, part, escape(finding))
    Console().print(table)
    if any(state == MISSING for state, _, _ in rows):
        raise typer.Exit(1)


def _installed(module: str) -> bool:
    from importlib.util import find_spec

    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _machine() -> Iterator[Row]:
    import shutil

    from endosfm3d_ros.bench.machine import hardware, versions

    found = hardware()
    yield OK, "machine", f"{found['processor']}, {found['cores']} cores, {found['memory_gib']} GiB"
    yield OK, "python", versions()["python"]
    yield OK, "package", f"{__version__} in {Path(__file__).parents[1]}"
    compiler = shutil.which("c++") or shutil.which("g++")
    if compiler:
        yield OK, "compiler", compiler
    else:
        yield NOTE, "compiler", "none: messages and the CPU splatting kernel cannot be rebuilt"


def _ros() -> Iterator[Row]:
    import os

    if not _installed("rclpy"):
        yield MISSING, "ROS 2", f"rclpy does not import: run {SETUP}"
        return
    origin = os.environ.get("ROS_DISTRO", "Jazzy wheels from PyPI")
    yield OK, "ROS 2", f"rclpy imports ({origin})"
    if _installed("endosfm3d_ros.msg"):
        yield OK, "messages", "endosfm3d_ros.msg is built"
    else:
        yield (
            MISSING,
            "messages",
            "endosfm3d_ros.msg is not built: run `python3 bootstrap.py setup`",
        )
    if not _installed("tf2_msgs"):
        yield MISSING, "messages", "tf2_msgs is not built: run `python3 bootstrap.py setup`"


def _launch() -> Iterator[Row]:
    for module, use in {
        "launch_ros": "`ros2 launch` and its tests need a ROS 2 installation; "
        "`endosfm3d` and the executables work without",
        "cv_bridge": "the package reads image encodings itself; cv_bridge would add its own",
    }.items():
        yield (OK, module, "imports") if _installed(module) else (NOTE, module, f"absent: {use}")


def _gpu() -> Iterator[Row]:
    from endosfm3d_ros.engines.device import cuda_obstacle, driver_version

    obstacle = cuda_obstacle()
    if obstacle:
        yield NOTE, "CUDA", f"{obstacle}: networks and splatting run on the processor"
    else:
        import torch

        yield OK, "CUDA", f"{torch.cuda.get_device_name(0)}, driver {driver_version()}"
    for module, package in {
        "tensorrt": '"tensorrt-cu13>=10.16,<12"',
        "tensorrt_rtx": '"tensorrt-rtx>=1.7,<2"',
        "gsplat": '"gsplat>=1.5,<2"',
    }.items():
        if _installed(module):
            yield OK, module, "installed"
        elif not obstacle:
            yield NOTE, module, f"absent: `pip install {package}` makes use of the GPU"


def _engines() -> Iterator[Row]:
    from endosfm3d_ros.bench.machine import processor_flags
    from endosfm3d_ros.files.locations import cache_folder

    if _installed("openvino"):
        fast = processor_flags() & {"amx_bf16", "avx512_bf16", "avx512_vnni"}
        detail = f"with {', '.join(sorted(fast))}" if fast else "without bf16 instructions"
        yield OK, "OpenVINO", f"installed, processor {detail}"
    else:
        yield NOTE, "OpenVINO", "absent: networks run two to three times slower"
    for module, use in {"onnxruntime": "a second CPU back end", "nncf": "int8 engines"}.items():
        if _installed(module):
            yield OK, module, f"installed: {use}"
    yield OK, "engine cache", str(cache_folder())


def _weights() -> Iterator[Row]:
    from endosfm3d_ros.errors import ConfigurationError
    from endosfm3d_ros.sfm.endosfm3d.weights import find_weights

    try:
        yield OK, "weights", str(find_weights().folder)
    except ConfigurationError as error:
        yield NOTE, "weights", f"{error}; stereo works without"


def _transport() -> Iterator[Row]:
    import os
    import shutil

    name = "FASTRTPS_DEFAULT_PROFILES_FILE"
    if os.environ.get(name):
        yield OK, "DDS profile", f"{name}={os.environ[name]}"
    else:
        yield (
            NOTE,
            "DDS profile",
            (
                f"{name} is not set: images over 0.5 MB are slow or lost between processes; "
                "the launch file sets it to config/fastdds.xml"
            ),
        )
    free = shutil.disk_usage("/dev/shm").free >> 20 if os.path.isdir("/dev/shm") else 0
    state = OK if free >= 256 else NOTE
    yield state, "shared memory", f"{free} MiB free in /dev/shm"


def _speed() -> Iterator[Row]:
    """What to expect with everything on, measured on made-up images, and what to switch off."""
    from endosfm3d_ros.errors import EndoError
    from endosfm3d_ros.nodes.node.readiness import ENOUGH, advice
    from endosfm3d_ros.pipeline.pipeline import Pipeline, PipelineConfig
    from endosfm3d_ros.pipeline.quality import BALANCED, FAST, QualityControl
    from endosfm3d_ros.pipeline.rehearsal import measure
    from endosfm3d_ros.tissue.config import TissueConfig
    from endosfm3d_ros.tools.stage import ToolsConfig

    config = PipelineConfig(tools=ToolsConfig(masks="auto"), tissue=TissueConfig())
    try:
        pipeline = Pipeline(config)
    except EndoError as error:
        yield MISSING, "speed", f"the pipeline cannot be built: {error}"
        return
    for kind, eyes in (("stereo", "two eyes"), ("endosfm3d", "one eye")):
        rates, found = [], measure(pipeline, kind)  # the first run loads what is missing
        for step in (BALANCED, FAST):
            pipeline.quality = QualityControl(step.name)
            found = measure(pipeline, kind)
            rates.append(f"{found.rate:.1f} ({step.name})")
        said = f"{eyes}, map and instruments: {', '.join(rates)} updates/s"
        slow = found.rate < ENOUGH
        yield (NOTE if slow else OK), "speed", said + (f"; {advice(found.stages)}" if slow else "")
    pipeline.close()
