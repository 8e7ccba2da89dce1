"""Listening for connections, from anybody, without being held up by anybody."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from ditto.runtime.transport.hosts import Address, HostsError
from ditto.runtime.transport.keepalive import keep_alive

HANDSHAKES = 64
"""Handshakes at a time. One more ends the oldest of the host that has most of them, so that neither who is
slow nor who comes often keeps others out."""

HANDSHAKE_S = 10.0
"""Seconds that a handshake may take."""


class Connection(Protocol):
    """What can be closed."""

    def close(self) -> None:
        """Ends the connection."""


C = TypeVar("C", bound=Connection)


class Listener(Generic[C]):
    """Accepts connections at an address.

    Args:
        address: of this machine.
        shake_hands: makes a TLS connection of a socket.
        handler: called with it once the handshake is done; the connection ends when it returns.

    Raises:
        HostsError: somebody else listens there, or it is not this machine's address.
    """

    def __init__(
        self,
        address: Address,
        shake_hands: Callable[[socket.socket], Awaitable[C]],
        handler: Callable[[C], Awaitable[None]],
    ) -> None:
        self._shake_hands = shake_hands
        self._handler = handler
        self._shaking: dict[asyncio.Task[None], str] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        try:
            (family, kind, number, _, where), *_ = socket.getaddrinfo(
                address.host, address.port, type=socket.SOCK_STREAM
            )
            self._socket = socket.socket(family, kind, number)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(where)
            self._socket.listen(128)
            self._socket.setblocking(False)
        except OSError as error:
            raise HostsError(f"cannot listen at {address}: {error}") from None

    async def serve(self) -> None:
        """Accepts connections until it is cancelled, and ends them then."""
        try:
            while True:
                await self._accept()
        finally:
            self._socket.close()
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self) -> None:
        try:
            sock, (host, *_) = await asyncio.get_running_loop().sock_accept(self._socket)
        except OSError:
            # No descriptors are left, or the connection is gone already.
            await asyncio.sleep(0.05)
            return
        if len(self._shaking) >= HANDSHAKES:
            ((crowd, _),) = Counter(self._shaking.values()).most_common(1)
            oldest = next(task for task, host in self._shaking.items() if host == crowd)
            oldest.cancel()
            del self._shaking[oldest]
        task = asyncio.create_task(self._connected(sock))
        self._shaking[task] = host
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._shaking.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error

    async def _connected(self, sock: socket.socket) -> None:
        try:
            keep_alive(sock)
        except OSError:
            sock.close()
            return
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                # Which closes the socket, whatever happens; if we did, another could have its number by then.
                connection = await self._shake_hands(sock)
        except OSError:
            # A stranger, or somebody who left.
            return
        task = asyncio.current_task()
        assert task is not None
        self._shaking.pop(task, None)
        try:
            await self._handler(connection)
        finally:
            connection.close()
