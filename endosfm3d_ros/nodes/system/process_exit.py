"""The end of the process, also while a thread is inside a library."""

from __future__ import annotations

import os
import re
import sys
import threading
from typing import NoReturn


def sentence_of(error: Exception) -> str:
    """One line of an error at the start, without the places in the source of rcl."""
    text = re.sub(r",? at /\S+:\d+", "", " ".join(str(error).split()))
    if type(error).__name__ == "UnknownROSArgsError":
        return f"unknown ROS arguments {text}"
    return text.removeprefix("failed to initialize rcl: ")


def leave(code: int) -> NoReturn:
    """End the process with `code`.

    An interpreter that is taken down ends a daemon thread where it next asks for the GIL, by
    unwinding its stack. In a thread that was left inside a compiler these are C++ frames, and the
    process aborts. So where such a thread still runs, the interpreter is not taken down.
    """
    if any(thread.daemon for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
