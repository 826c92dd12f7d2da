"""How many threads the numerical libraries use: a matter of the process, so decided here alone.

Nothing is limited by the mere making of an object, and whoever is not inside a limit keeps the
threads that he had.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

from threadpoolctl import ThreadpoolController


class _SharedLimit:
    """One thread for BLAS from the first that enters to the last that leaves.

    The number belongs to the whole process. Where each caller kept what it found, the first of two
    that leaves would lift the limit of the other, and the last would leave its own for ever.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._limit: object | None = None

    def enter(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._limit = _libraries().limit(limits=1, user_api="blas")

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._limit.restore_original_limits()


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
    with _libraries_of_torch().limit(limits=1, user_api="openmp"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    """Of this process; looking for them takes a while."""
    return ThreadpoolController()


@cache
def _libraries_of_torch() -> ThreadpoolController:
    """Looked for once torch is loaded."""
    return ThreadpoolController()
