"""TensorRT's log: kept, passed on at the right level, and read for the line that explains."""

from __future__ import annotations

import logging
import re
from typing import Any

log = logging.getLogger(__name__)

# Where in its sources TensorRT was, and which call failed: of no use to users.
NOISE = re.compile(r"\s*\(?\[?[\w.]+\.(cpp|h)::?[^\])]*[\])]?|^\w+::\w+: |In \w+ at \S+\s*")
PLAIN = {  # what a line contains: the sentence for it
    "serialized with a different version": "the engine belongs to another version of TensorRT",
    "Version tag does not match": "the engine belongs to another version of TensorRT",
    "not compatible with this version": "the engine belongs to another version of TensorRT",
    "compute capability": "the engine belongs to another GPU",
    "CUDA driver version is insufficient": "there is no NVIDIA driver that is new enough",
    "out of memory": "there is not enough GPU memory",
}


class TensorRtMessages:
    """Lines of one build or load, oldest first, by severity name."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def add(self, severity: str, text: str) -> None:
        """Take a line; errors and warnings go to the log at once, the rest for debugging."""
        text = text.strip()
        if severity == "VERBOSE" or not text.strip("-"):
            return
        self.lines.append((severity, text))
        level = logging.WARNING if severity == "WARNING" else logging.DEBUG
        log.log(level, "%s", readable(text))

    def reason(self) -> str:
        """The first error in plain words."""
        errors = [text for severity, text in self.lines if severity in ("ERROR", "INTERNAL_ERROR")]
        for text in errors:
            for part, sentence in PLAIN.items():
                if part in text:
                    return sentence
        return readable(errors[0]) if errors else "it gave no reason"


def readable(text: str) -> str:
    """A line without its places in foreign source files."""
    return re.sub(r"\s+", " ", NOISE.sub(" ", text)).strip()


def logger_of(trt: Any, messages: TensorRtMessages) -> Any:
    """An ILogger of the module that fills `messages`."""

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:
            messages.add(severity.name, msg)

    return Logger()
