"""Who is served next."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

from ditto_compiler.errors import DittoError

WAITING = 32
"""Sessions that one caller may wait for at a time; so who wants many keeps nobody else from waiting."""


class BusyError(DittoError):
    """A caller waits for too many sessions."""


class Admission:
    """Lets sessions begin, so many at a time.

    Next is whoever has the fewest sessions, and among these who came first: one caller with many requests
    does not keep another one waiting for all of them.

    Callers ask the parties in the order of their ranks and keep what they got, so two callers never wait for
    each other.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running: Counter[str] = Counter()
        self._waiting: list[tuple[str, asyncio.Future[None]]] = []

    @property
    def running(self) -> int:
        """Sessions that are being served."""
        return self._running.total()

    @property
    def waiting(self) -> int:
        """Callers that wait for one."""
        return len(self._waiting)

    @contextlib.asynccontextmanager
    async def session(self, caller: str) -> AsyncIterator[None]:
        """A session of `caller`, as soon as it is its turn.

        Raises:
            BusyError: this caller waits for too many already.
        """
        await self._enter(caller)
        try:
            yield
        finally:
            self._leave(caller)

    async def _enter(self, caller: str) -> None:
        if self.running < self._limit:
            self._running[caller] += 1
            return
        if sum(name == caller for name, _ in self._waiting) >= WAITING:
            raise BusyError(
                f"all {self._limit} sessions are taken and {caller} waits for {WAITING}; try again later"
            )
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (caller, turn)
        self._waiting.append(entry)
        try:
            await turn
        except asyncio.CancelledError:
            if entry in self._waiting:
                self._waiting.remove(entry)
            else:
                # It was its turn, and it left at that moment.
                self._leave(caller)
            raise

    def _leave(self, caller: str) -> None:
        self._running[caller] -= 1
        self._running += Counter()
        patient = [entry for entry in self._waiting if not entry[1].done()]
        if patient and self.running < self._limit:
            entry = min(patient, key=lambda entry: self._running[entry[0]])
            self._waiting.remove(entry)
            self._running[entry[0]] += 1
            entry[1].set_result(None)
