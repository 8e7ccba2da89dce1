"""Whose turn it is: threads that share a cluster, one after the other in the order in which they came."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType

from ditto.runtime.caller.parties import ClusterError


class _Ticket:
    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.turn = threading.Event()


class FairLock:
    """Mutual exclusion, first come first served; a context manager.

    Whoever is interrupted while he waits leaves the line. A thread that has the lock and asks for it again
    would wait for itself, so that is an error.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._line: deque[_Ticket] = deque()  # the first has the lock

    @property
    def waiting(self) -> int:
        """How many threads wait for the lock."""
        return max(len(self._line) - 1, 0)

    def __enter__(self) -> None:
        ticket = _Ticket()
        try:
            with self._mutex:
                inside = bool(self._line) and self._line[0].thread == ticket.thread
                if not inside:
                    self._line.append(ticket)
                    first = self._line[0] is ticket
            if inside:
                raise ClusterError(
                    "a cluster does one thing at a time, and this call comes from inside another one of the "
                    "same cluster, such as its progress callback; make it afterwards, or on another cluster"
                )
            if not first:
                ticket.turn.wait()
        except BaseException:
            self._leave(ticket)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(self._line[0])

    def _leave(self, ticket: _Ticket) -> None:
        with self._mutex:
            if ticket in self._line:
                self._line.remove(ticket)
            if self._line:
                self._line[0].turn.set()
