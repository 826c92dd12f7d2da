"""Output folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from endosfm3d_ros.errors import ConfigurationError


@contextmanager
def atomic_folder(target: Path, marker: str, force: bool = False) -> Iterator[Path]:
    """Yield a path beside `target` to fill; it becomes `target` when the block ends well.

    The yielded folder has the name of the target but does not exist yet. After an error, an
    interrupt included, nothing is left and an old target is untouched.

    Args:
        target: folder to make.
        marker: file name pattern that an old target must hold to be replaced, so that a slip
            of the keyboard cannot delete a home directory.
        force: replace an old target.

    Raises:
        ConfigurationError: the target exists, or its parent cannot be written.
    """
    target = Path(os.path.abspath(target))
    _require_replaceable(target, marker, force)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    except OSError as error:
        raise ConfigurationError(f"{target.parent} cannot be written: {error.strerror}") from error
    try:
        yield scratch / target.name
        if target.exists():
            target.rename(scratch / "replaced")
        (scratch / target.name).rename(target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _require_replaceable(target: Path, marker: str, force: bool) -> None:
    if not target.exists():
        return
    if not force:
        raise ConfigurationError(f"{target} exists: choose another name or add --force")
    if not target.is_dir() or not any(target.glob(marker)):
        raise ConfigurationError(f"{target} exists and holds no {marker}: it is not replaced")
