"""`pip install .`: the library and its scripts, without the ROS messages that CMake generates."""

import importlib.util
import sys
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py
from setuptools.dist import Distribution

ROOT = Path(__file__).parent
RESOURCE = ROOT / "resource"


def lines(path: Path) -> list[str]:
    """The lines of a table that are neither empty nor comments."""
    return [row for row in path.read_text().splitlines() if row and not row.startswith("#")]


class PlatformDistribution(Distribution):
    """The compiled rasteriser makes a wheel of one platform."""

    def has_ext_modules(self) -> bool:
        return True


class BuildWithRasteriser(build_py):
    """Also compiles the CPU rasteriser into the package."""

    def run(self) -> None:
        super().run()
        # By path: importing the package itself would need torch, which a build does not have.
        sys.path.insert(0, str(ROOT))
        path = ROOT / "endosfm3d_ros" / "splatting" / "build.py"
        spec = importlib.util.spec_from_file_location("splatting_build", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        if not self.editable_mode:
            module.build_all(Path(self.build_lib, "endosfm3d_ros", "splatting"))


setup(
    name="endosfm3d_ros",
    version="0.1.0",
    description="Live 3-D scenes from endoscope video as ROS 2 nodes",
    long_description=(ROOT / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.10",
    packages=find_packages(include=["endosfm3d_ros", "endosfm3d_ros.*"]),
    package_data={"endosfm3d_ros": ["**/*.yaml", "**/*.json", "**/*.safetensors", "web/assets/*"]},
    install_requires=lines(RESOURCE / "requirements" / "base.txt"),
    extras_require={
        name: lines(RESOURCE / "requirements" / f"{name}.txt")
        for name in ("ros", "film", "test", "train")
    },
    distclass=PlatformDistribution,
    cmdclass={"build_py": BuildWithRasteriser},
    entry_points={"console_scripts": lines(RESOURCE / "console_scripts.txt")},
)
