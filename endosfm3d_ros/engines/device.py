"""What engines are tied to: the instruction set of this processor."""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def processor_signature() -> str:
    """Architecture and a digest of model and instruction flags, such as `x86_64-1f0c3a9e`."""
    wanted = ("model name", "flags", "Features", "CPU part")
    try:
        lines = {line for line in CPUINFO.read_text().splitlines() if line.startswith(wanted)}
    except OSError:  # not Linux
        lines = {platform.processor()}
    digest = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
    return f"{platform.machine()}-{digest[:8]}"
