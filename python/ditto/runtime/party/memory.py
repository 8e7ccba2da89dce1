"""The memory of a process that holds secrets: kept from others, and measured."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import sys
from pathlib import Path

_PR_SET_DUMPABLE = 4


def protect_memory() -> None:
    """Keeps this process's memory out of core dumps, and from other processes of its user where Linux can.

    From then on the process's files in /proc are root's. Those that it writes to have to be open by then.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "cannot protect the memory of this process")


class PeakMemory:
    """Most bytes of memory that this process held at a time. To be made before `protect_memory`."""

    def __init__(self) -> None:
        self._clear = -1
        with contextlib.suppress(OSError):
            self._clear = os.open("/proc/self/clear_refs", os.O_WRONLY)

    def forget(self) -> None:
        """Lets the next peak be that of what follows, where the system can."""
        if self._clear >= 0:
            with contextlib.suppress(OSError):
                os.write(self._clear, b"5")

    def read(self) -> int:
        """Bytes, since the process began or forgot."""
        try:
            status = Path("/proc/self/status").read_text()
        except OSError:
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
