"""What SIGINT and SIGTERM do to a `ditto` command: it ends soon, says nothing, and leaves nothing behind.

The exit code is 128 and the signal's number, as a shell would show it. This module imports nothing that takes
time, for signals come while the rest is being loaded, too.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import NoReturn

PATIENCE = 1.5
"""Seconds that the main thread has to end on its own."""


class Interruption:
    """The end by a signal. To be made in the main thread.

    As long as there is nothing to clean up, a signal ends the process where it is. Later it raises
    `SystemExit` in the main thread, so that what is open is closed; when that takes too long, or never
    happens because the main thread is waiting inside of a library, a thread of its own ends the process.
    (Not while a library keeps Python itself from running, as parsing does for a second per ten megabytes.)
    """

    def __init__(self) -> None:
        self._number = 0
        self._clean_up: Callable[[], None] | None = None
        read, write = os.pipe()
        os.set_blocking(write, False)
        # Python's handlers run between two steps of the main thread; this tells of a signal at once.
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        threading.Thread(target=self._watch, args=(read,), daemon=True).start()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._interrupt)

    def unwind(self, clean_up: Callable[[], None]) -> None:
        """From now on there may be something to clean up; `clean_up` does in the end what nobody else has."""
        self._clean_up = clean_up

    def finish(self) -> None:
        """Ends the process if a signal has come; to be called when the main thread has closed everything."""
        if self._number:
            self._end(self._number)

    def _interrupt(self, number: int, frame: FrameType | None) -> None:
        if self._clean_up is None:
            self._end(number)
        if not self._number:
            self._number = number
            # Raised where Python cannot pass it on, it would be printed.
            sys.unraisablehook = lambda _: None
            raise SystemExit(128 + number)

    def _watch(self, wake_up: int) -> None:
        while (number := os.read(wake_up, 1)[0]) not in (signal.SIGINT, signal.SIGTERM):
            pass
        if self._clean_up is not None:
            time.sleep(PATIENCE)
        self._end(number)

    def _end(self, number: int) -> NoReturn:
        _end_children()
        if self._clean_up is not None:
            self._clean_up()
        # To take the interpreter apart takes seconds on a busy machine.
        os._exit(128 + number)


def _end_children() -> None:
    """Kills the processes that this one has started, where the system lists them."""
    for listed in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in listed.read_text().split():
                os.kill(int(child), signal.SIGKILL)
