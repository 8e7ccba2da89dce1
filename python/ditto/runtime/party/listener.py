"""Listening for TLS connections, from anybody, without being held up by anybody."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from ditto.runtime.transport.hosts import Address, HostsError
from ditto.runtime.transport.keepalive import keep_alive

HANDSHAKES = 64
"""Handshakes at a time. One more ends the oldest of the host that has most of them, so that neither who is
slow nor who comes often keeps others out."""

HANDSHAKE_S = 10.0
"""Seconds that a handshake may take."""

_CLOSING_S = 3.0
"""Seconds for a peer to read the last of what it was sent; who reads nothing does not keep a connection."""


class Listener:
    """Accepts TLS connections at an address.

    Args:
        address: of this machine.
        tls: what is asked and shown.
        protocol: makes the protocol of a connection.
        handler: called with the transport and the protocol once the handshake is done; the connection ends
            when it returns.

    Raises:
        HostsError: somebody else listens there, or it is not this machine's address.
    """

    def __init__(
        self,
        address: Address,
        tls: ssl.SSLContext,
        protocol: Callable[[], Any],
        handler: Callable[[Any, Any], Awaitable[None]],
    ) -> None:
        self._tls = tls
        self._protocol = protocol
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
            # Which closes the socket, whatever happens; if we did, another connection could have its number.
            transport, protocol = await asyncio.get_running_loop().connect_accepted_socket(
                self._protocol,
                sock,
                ssl=self._tls,
                ssl_handshake_timeout=HANDSHAKE_S,
                ssl_shutdown_timeout=_CLOSING_S,
            )
        except OSError:
            # A stranger, or somebody who left.
            return
        task = asyncio.current_task()
        assert task is not None
        self._shaking.pop(task, None)
        try:
            await self._handler(transport, protocol)
        finally:
            transport.close()
