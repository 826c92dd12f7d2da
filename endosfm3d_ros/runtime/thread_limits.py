"""How many threads the numerical libraries use: a matter of the process, so decided here alone.

Nothing is limited by the mere making of an object, and whoever is not inside a limit keeps the
threads that he had.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import OpenBLASController, ThreadpoolController


class _SharedLimit:
    """One thread for BLAS from the first that enters to the last that leaves.

    The number belongs to the whole process. Where each caller kept what it found, the first of two
    that leaves would lift the limit of the other, or the last would leave its own for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: list[int] = []

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                libraries = _libraries("blas")
                self._before = [library.get_num_threads() for library in libraries]
                _set_blas(libraries, [1] * len(libraries))

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                _set_blas(_libraries("blas"), self._before)


_blas = _SharedLimit()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """For many small matrices, on any number of threads at once.

    Waking a second thread for one costs up to a hundred times more than it saves where the cores
    are busy.
    """
    _blas.enter()
    try:
        yield
    finally:
        _blas.leave()


@contextmanager
def one_torch_thread() -> Iterator[None]:
    """For short operations of torch on the calling thread; all others keep what they have.

    Beside work that has threads of its own, those of torch would spin for nothing.
    """
    import torch

    torch.get_num_threads()  # sets the calling thread up, which would undo the limit later
    libraries = _libraries("openmp")
    before = [library.get_num_threads() for library in libraries]
    _set(libraries, [1] * len(libraries))
    try:
        yield
    finally:
        _set(libraries, before)


@cache
def _libraries(api: str) -> list:
    """Those of this process that are loaded by now; looking for them takes a while."""
    return ThreadpoolController().select(user_api=api).lib_controllers


def _set_blas(libraries: list, counts: list[int]) -> None:
    # OpenBLAS obeys only the thread that limited it last, and who leaves here may be another one.
    OpenBLASController.clear_controlling_thread(force=True)
    _set(libraries, counts)
    OpenBLASController.clear_controlling_thread(force=True)


def _set(libraries: list, counts: list[int]) -> None:
    for library, count in zip(libraries, counts):
        library.set_num_threads(count)
