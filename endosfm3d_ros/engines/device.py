"""What engines run on and are tied to: the processor's instruction set, or the GPU and driver."""

from __future__ import annotations

import hashlib
import logging
import platform
import re
from pathlib import Path

from endosfm3d_ros.errors import ConfigurationError

log = logging.getLogger(__name__)

DEVICES = ("auto", "cuda", "cpu")
CPUINFO = Path("/proc/cpuinfo")
DRIVER = Path("/proc/driver/nvidia/version")  # written by the kernel module of desktop cards
# One of these exists wherever a CUDA driver is loaded: desktop, WSL 2, Jetson.
DRIVER_NODES = tuple(Path(p) for p in ("/dev/nvidiactl", "/dev/dxg", "/dev/nvhost-ctrl-gpu"))


def processor_signature() -> str:
    """Architecture and a digest of model and instruction flags, such as `x86_64-1f0c3a9e`."""
    wanted = ("model name", "flags", "Features", "CPU part")
    try:
        lines = {line for line in CPUINFO.read_text().splitlines() if line.startswith(wanted)}
    except OSError:  # not Linux
        lines = {platform.processor()}
    digest = hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
    return f"{platform.machine()}-{digest[:8]}"


def gpu_signature() -> str:
    """Compute capability, name and driver of the GPU, such as `sm89-rtx-4090-570.86.15`."""
    import torch

    major, minor = torch.cuda.get_device_capability()
    name = re.sub(r"[^a-z0-9]+", "-", torch.cuda.get_device_name().lower().replace("nvidia", ""))
    return f"sm{major}{minor}-{name.strip('-')}-{driver_version()}"


def driver_version() -> str:
    """Version of the NVIDIA driver; "unknown" where the kernel does not say."""
    try:
        found = re.search(r"\b(\d{3,}\.\d[\d.]*)\b", DRIVER.read_text())
    except OSError:
        return "unknown"
    return found.group(1) if found else "unknown"


def cuda_obstacle() -> str:
    """Why CUDA cannot be used here; empty where it can.

    Asks the file system first: without a driver nobody waits seconds for torch.
    """
    if not any(node.exists() for node in DRIVER_NODES):
        return "there is no NVIDIA driver on this machine"
    try:
        import torch
    except ImportError:
        return "torch is not installed"
    if torch.version.cuda is None:
        return f"torch {torch.__version__} was built without CUDA"
    if not torch.cuda.is_available():
        return "torch finds no usable NVIDIA GPU"
    return ""


def chosen_device(wanted: str, allow_cpu: bool) -> str:
    """`cuda` or `cpu` for a wish of DEVICES.

    `auto` takes the GPU where there is one. A machine that has the driver but cannot use it is
    said so, because networks on the processor may then be a surprise.

    Raises:
        ConfigurationError: CUDA was asked for, is missing, and `allow_cpu` is not set.
    """
    if wanted == "cpu":
        return "cpu"
    obstacle = cuda_obstacle()
    if not obstacle:
        return "cuda"
    if wanted == "cuda" and not allow_cpu:
        raise ConfigurationError(
            f"device 'cuda': {obstacle}; set allow_cpu or device 'cpu' to run on the processor"
        )
    if wanted == "cuda" or any(node.exists() for node in DRIVER_NODES):
        log.warning("networks run on the processor: %s", obstacle)
    return "cpu"
