"""The pipeline node as a process of its own, for the demo, the benchmark and the tests."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

WITHOUT_STAGES = {"tissue_map": False, "tools": "off"}  # depth, camera and pose alone


class PipelineProcess:
    """Starts `pipeline` with the interpreter that runs this; its log goes to a file.

    Args:
        log: where stdout and stderr go.
        parameters: of the node.
        remappings: {topic in the node: topic outside}.
    """

    def __init__(
        self, log: Path, parameters: dict[str, object], remappings: dict[str, str] | None = None
    ) -> None:
        self._path = log
        # Quoted, because YAML takes off for false.
        settings = [
            f"{name}:={json.dumps(value) if isinstance(value, str) else value}"
            for name, value in parameters.items()
        ]
        arguments = [item for setting in settings for item in ("-p", setting)]
        for inside, outside in (remappings or {}).items():
            arguments += ["-r", f"{inside}:={outside}"]
        command = [sys.executable, "-m", "endosfm3d_ros.nodes.pipeline_node"]
        command += ["--ros-args", *arguments] if arguments else []
        root = Path(find_spec("endosfm3d_ros").origin).parents[1]
        environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{_python_path()}"}
        with log.open("w") as stream:
            self.process = subprocess.Popen(
                command, stdout=stream, stderr=subprocess.STDOUT, env=environment
            )

    @property
    def log(self) -> str:
        """Everything it said so far."""
        return self._path.read_text(errors="replace")

    def stop(self, timeout: float = 5.0) -> int:
        """Interrupt it, and return its exit code; killed if it does not end in time."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


def _python_path() -> str:
    return os.environ.get("PYTHONPATH", "")
