"""Heaps of the C library."""

from __future__ import annotations

import subprocess
import sys

import pytest

from endosfm3d_ros.runtime.memory import ARENAS

# Twenty threads that all hold memory at one time would get a heap each.
COUNT = """
import ctypes, sys, threading
from endosfm3d_ros.runtime.memory import share_arenas
share_arenas()
library, together = ctypes.CDLL(None), threading.Barrier(20)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]

def hold():
    library.malloc(100_000)
    together.wait()

threads = [threading.Thread(target=hold) for _ in range(20)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
library.malloc_info(0, ctypes.c_void_p.in_dll(library, "stdout"))
library.fflush(None)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="heaps of glibc")
def test_threads_share_a_few_heaps():
    command = [sys.executable, "-c", COUNT]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert 1 <= said.count("<heap nr=") <= ARENAS
