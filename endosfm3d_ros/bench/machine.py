"""What a figure was measured on."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

NOTEWORTHY = ("numpy", "opencv-python-headless", "torch", "openvino", "rclpy", "gsplat", "tensorrt")


def hardware() -> dict[str, str | int]:
    """Processor, cores, memory and GPU."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "gpu": _gpu(),
    }


def versions() -> dict[str, str]:
    """Of Python and the packages that decide how fast things are."""
    found = {"python": platform.python_version()}
    for name in NOTEWORTHY:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def processor_flags() -> set[str]:
    """Instruction sets as the Linux kernel names them; empty where it does not say."""
    for line in _cpuinfo():
        if line.startswith(("flags", "Features")):
            return set(line.partition(":")[2].split())
    return set()


def _processor() -> str:
    for line in _cpuinfo():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _cpuinfo() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text().splitlines() if path.is_file() else []


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else "none"
