"""TLS connections between servers, and the copying between them and the engine.

A connection is set up by the server's event loop, which never blocks, and then belongs to a thread that does
nothing but copy: an engine waits for each message, and a blocking thread passes it on in half the time that
an event loop takes. A TLS object is for one thread only, so a tunnel has two connections, one for each
direction.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any, Self, TypeVar

from ditto.runtime.transport.wire import WireError, header_length, pack_header, parse_header

T = TypeVar("T")

_CHUNK = 1 << 18
_PREFIX = 4
_LONGEST_HEADER = 1 << 16


class Lane:
    """A TLS connection that the event loop shakes hands on and exchanges frames on.

    Attributes:
        tls: the connection.
    """

    def __init__(self, tls: ssl.SSLSocket) -> None:
        self.tls = tls

    @classmethod
    async def shake_hands(cls, sock: socket.socket, context: ssl.SSLContext, *, server: bool) -> Self:
        """A lane over a connected socket, which is closed if it cannot be.

        Raises:
            OSError: the other end fails to, or shows no certificate of our authority.
        """
        sock.setblocking(False)
        try:
            lane = cls(context.wrap_socket(sock, server_side=server, do_handshake_on_connect=False))
        except BaseException:
            sock.close()
            raise
        try:
            await lane._without_blocking(lane.tls.do_handshake)
        except BaseException:
            lane.close()
            raise
        return lane

    async def send(self, header: dict[str, Any]) -> None:
        """Sends a frame.

        Raises:
            OSError: the other end is gone.
        """
        data = pack_header(header)
        while data:
            data = data[await self._without_blocking(functools.partial(self.tls.send, data)) :]

    async def receive(self) -> dict[str, Any]:
        """The next frame, and nothing of what follows.

        Raises:
            WireError: it is none, or the connection ended.
            OSError: the other end is gone.
        """
        length = header_length(await self._exactly(_PREFIX))
        if length > _LONGEST_HEADER:
            raise WireError(f"a frame of a link has no header of {length} bytes")
        header, sizes = parse_header(await self._exactly(length))
        if sizes:
            raise WireError("a frame of a link has no buffers")
        return header

    def close(self) -> None:
        """Ends the connection."""
        self.tls.close()

    async def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = await self._without_blocking(functools.partial(self.tls.recv, count - len(data)))
            if not more:
                raise WireError("the connection was closed")
            data += more
        return data

    async def _without_blocking(self, operation: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                add, remove = loop.add_reader, loop.remove_reader
            except ssl.SSLWantWriteError:
                add, remove = loop.add_writer, loop.remove_writer
            ready: asyncio.Future[None] = loop.create_future()
            descriptor = self.tls.fileno()
            add(descriptor, _set, ready)
            try:
                await ready
            finally:
                remove(descriptor)


def _set(ready: asyncio.Future[None]) -> None:
    if not ready.done():
        ready.set_result(None)


class Tunnel:
    """Copies between an engine's connection and two lanes, until one of the three ends, or `close`.

    Args:
        engine: connected to it.
        out: takes what the engine sends.
        into: has what the engine receives.

    Attributes:
        ended: done when all three have ended.
    """

    def __init__(self, engine: socket.socket, out: Lane, into: Lane) -> None:
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = [engine, out.tls, into.tls]
        # Nothing ever comes on it but its end.
        self._watched = out.tls.fileno()
        self._running = 2
        self._lock = threading.Lock()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        for sock in self._sockets:
            sock.setblocking(True)
        for source, target in ((engine, out.tls), (into.tls, engine)):
            threading.Thread(target=self._copy, args=(source, target), daemon=True).start()
        self._loop.add_reader(self._watched, self._lost)

    def _lost(self) -> None:
        self._loop.remove_reader(self._watched)
        self.close()

    def close(self) -> None:
        """Ends the connections; `ended` is done soon."""
        with self._lock:
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    # Not the method of TLS sockets, which would leave them without TLS for a moment.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        buffer = memoryview(bytearray(_CHUNK))
        with contextlib.suppress(OSError):
            while count := source.recv_into(buffer):
                target.sendall(buffer[:count])
        self.close()
        with self._lock:
            self._running -= 1
            last = not self._running
        if last:
            # The loop is closed when the server ends before its threads.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        self._loop.remove_reader(self._watched)
        with self._lock:
            for sock in self._sockets:
                sock.close()
            self._sockets = []
        _set(self.ended)
