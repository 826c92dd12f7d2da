"""One small module for each reader of recordings, found by looking, as commands and engines are.

A module says in `READER` how its recordings are recognised and which class reads them. It imports
that class only when a recording is opened, so that help texts can name all readers quickly.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Reader:
    """How one kind of recording is recognised and read."""

    words: str  # for help texts and errors, with the marker in brackets
    takes: Callable[[Path], bool]
    target: str  # module:class; the class takes the path, `start` and `options`
    options: tuple[str, ...] = ()  # names of `SourceOptions` that the class takes
    rank: int = 50  # lower ones are asked first

    def open(self, path: Path, start: int, given: dict[str, Any]) -> Any:
        """The recording as a `Sequence`."""
        module, _, name = self.target.partition(":")
        return getattr(importlib.import_module(module), name)(path, start=start, **given)


@cache
def all_readers() -> tuple[Reader, ...]:
    """Every reader of this package, in the order in which they are asked."""
    modules = pkgutil.iter_modules(__path__)
    found = [importlib.import_module(f"{__name__}.{module.name}").READER for module in modules]
    return tuple(sorted(found, key=lambda reader: reader.rank))
