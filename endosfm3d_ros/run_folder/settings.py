"""`config.yaml`: what it takes to make a run again, and what it was made with."""

from __future__ import annotations

import io
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from endosfm3d_ros import __version__
from endosfm3d_ros.errors import ConfigurationError
from endosfm3d_ros.files.atomic import write_text

NAME = "config.yaml"
PACKAGES = ("numpy", "opencv-python-headless", "torch", "openvino", "onnxruntime", "scipy")


def versions() -> dict[str, str]:
    """Of this package, of Python and of what computes; packages that are not there are left out."""
    found = {"endosfm3d_ros": __version__, "python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write_settings(folder: Path, source: str, options: dict[str, Any]) -> None:
    """Write the options of a run beside its results."""
    head = f"# endosfm3d run --config {NAME} --out AGAIN\n"
    content = {"source": source, "options": options, "versions": versions()}
    text = io.StringIO()
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style, yaml.sort_base_mapping_type_on_output = False, False
    yaml.dump(content, text)
    write_text(folder / NAME, head + text.getvalue())


def read_settings(path: Path) -> dict[str, Any]:
    """Source and options of a run, as parameters of the command.

    Raises:
        ConfigurationError: no such file, or one that `write_settings` did not write.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text())
        return {"source": content["source"], **content["options"]}
    except (OSError, YAMLError, KeyError, TypeError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"--config {path}: the config.yaml of a run is accepted ({type(error).__name__})"
        ) from error
