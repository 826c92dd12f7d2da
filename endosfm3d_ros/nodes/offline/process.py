"""The pipeline node as a process of its own, for the demo, the benchmark and the tests."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(find_spec("endosfm3d_ros").origin).parents[1]
# The package that runs here, whatever lies in the working directory.
START = (
    "import sys; sys.path[:] = [{root!r}, *filter(None, sys.path)]; "
    "from endosfm3d_ros.nodes.node.pipeline_node import main; main()"
)
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
        command = [sys.executable, "-c", START.format(root=str(ROOT))]
        command += ["--ros-args", *arguments] if arguments else []
        with log.open("w") as stream:
            self.process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)

    @property
    def log(self) -> str:
        """Everything it said so far."""
        return self._path.read_text(errors="replace")

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self.process.poll() is None

    @property
    def last_words(self) -> str:
        """Why it ended or does not go on: its last error, or else its last line."""
        lines = [line for line in self.log.splitlines() if line.strip()]
        errors = [line for line in lines if "[ERROR]" in line or "[FATAL]" in line]
        said = (errors or lines or ["it said nothing"])[-1]
        return said.rpartition("]: ")[2] or said

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
