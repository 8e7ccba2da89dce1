"""The parties' links: Unix sockets of the engine, carried between hosts by mutual TLS 1.3.

An engine listens and connects in its session's folder only. This party's server accepts what the engine
sends to a peer, `to{peer}.sock`, connects to that peer's server, and says which session it is for; the peer's
server connects to `p{rank}.sock`, where the engine of that session listens. From then on bytes are copied.

Who knows what: servers see the engines' messages, as the engines of their own hosts do; nobody between sees
or changes any. A server takes a link only from a certificate with the name of a party, and gives it only to
a session that the same caller has with both. Which of the two other parties a message in it claims to be
from is up to its sender: parties are taken to be semi-honest.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ditto.runtime.party.listener import HANDSHAKE_S
from ditto.runtime.transport.hosts import Hosts
from ditto.runtime.transport.identity import IdentityError, check_peer, peer_names
from ditto.runtime.transport.keepalive import keep_alive
from ditto.runtime.transport.wire import (
    VERSION,
    WireError,
    header_length,
    pack_header,
    parse_header,
)
from ditto_compiler.errors import DittoError
from ditto_compiler.network import PARTIES

PATIENCE = 30.0
"""Seconds that a link waits until the other party's engine of that session listens."""

_CHUNK = 1 << 18
_AHEAD = 1 << 20
_PREFIX = 4
_LONGEST_HEADER = 1 << 16
_PINGS = 10


class LinkError(DittoError):
    """A link among parties that cannot be made."""


class End(asyncio.BufferedProtocol):
    """One end of a tunnel: frames without buffers first, then bytes that go to the end it is joined to.

    Attributes:
        transport: of the connection.
        lost: done when the connection is.
    """

    def __init__(self) -> None:
        self.transport: Any = None
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._other: End | None = None
        self._buffer: memoryview | None = None
        self._early = bytearray()
        self._more = asyncio.Event()

    def connection_made(self, transport: Any) -> None:
        """Called by asyncio."""
        self.transport = transport
        transport.set_write_buffer_limits(_AHEAD)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Called by asyncio."""
        if self._buffer is None:
            # Not before something comes: strangers that say nothing are to cost little.
            self._buffer = memoryview(bytearray(_CHUNK))
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Called by asyncio."""
        assert self._buffer is not None
        data = bytes(self._buffer[:nbytes])
        if self._other is not None:
            self._other.transport.write(data)
            return
        self._early += data
        self._more.set()
        if len(self._early) > _AHEAD:
            self.transport.pause_reading()

    def pause_writing(self) -> None:
        """Called by asyncio: what is sent here waits."""
        if self._other is not None:
            self._other.transport.pause_reading()

    def resume_writing(self) -> None:
        """Called by asyncio."""
        if self._other is not None:
            self._other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncio."""
        self._more.set()
        if not self.lost.done():
            self.lost.set_result(None)
        if self._other is not None:
            self._other.transport.close()

    def join(self, other: End) -> None:
        """From now on what comes here goes there, and the other way round."""
        self._other, other._other = other, self
        for source, target in ((self, other), (other, self)):
            if source._early:
                target.transport.write(bytes(source._early))
                source._early.clear()
            source.transport.resume_reading()
            if source.lost.done():
                target.transport.close()

    def send(self, header: dict[str, Any]) -> None:
        """Sends a frame."""
        self.transport.write(pack_header(header))

    async def receive(self) -> dict[str, Any]:
        """The next frame.

        Raises:
            WireError: none comes.
        """
        async with asyncio.timeout(PATIENCE + HANDSHAKE_S):
            await self._have(_PREFIX)
            length = header_length(self._early[:_PREFIX])
            # All of it comes before reading is paused.
            if length > _LONGEST_HEADER:
                raise WireError(f"a frame of a link has no header of {length} bytes")
            await self._have(_PREFIX + length)
        header, sizes = parse_header(self._early[_PREFIX : _PREFIX + length])
        if sizes:
            raise WireError("a frame of a link has no buffers")
        del self._early[: _PREFIX + length]
        return header

    async def _have(self, count: int) -> None:
        while len(self._early) < count:
            if self.lost.done():
                raise WireError("the connection was closed")
            self._more.clear()
            await self._more.wait()


class Links:
    """All links of this party.

    Args:
        hosts: of all parties, and this one's certificate.
        rank: this party's.
    """

    def __init__(self, hosts: Hosts, rank: int) -> None:
        self._hosts = hosts
        self._rank = rank
        self._tls = hosts.tls(server=False)
        self._sessions: dict[tuple[str, str], SessionLinks] = {}

    @contextlib.asynccontextmanager
    async def session(self, number: str, caller: str, folder: Path) -> Any:
        """The links of a session, which a caller has with all three parties under one number.

        Raises:
            LinkError: this caller already has a session of that number.
        """
        key = (number, caller)
        if key in self._sessions:
            raise LinkError("there is a session of that number")
        links = SessionLinks(self._rank, folder, lambda peer: self._dial(peer, {"session": key}))
        self._sessions[key] = links
        try:
            await links.open()
            yield links
        finally:
            del self._sessions[key]
            await links.close()

    async def accept(self, transport: Any, end: End) -> None:
        """Serves a connection to this party's link address, whose TLS handshake is done."""
        try:
            names = peer_names(transport.get_extra_info("ssl_object"))
            ranks = [r for r, name in enumerate(self._hosts.names) if name in names and r != self._rank]
            if len(ranks) != 1:
                raise IdentityError(
                    f"only the other parties connect here, not {', '.join(names) or 'nobody'}"
                )
            header = await end.receive()
            for _ in range(_PINGS):
                if "ping" not in header:
                    break
                end.send({"ok": True, "time": time.time(), "version": VERSION})
                header = await end.receive()
            await self._give(header, ranks[0], end)
        except (DittoError, TimeoutError) as error:
            with contextlib.suppress(OSError, RuntimeError):
                end.send({"error": str(error)})
            return
        await end.lost

    async def _give(self, header: dict[str, Any], peer: int, end: End) -> None:
        """Joins a peer's connection to the engine of the session that it is for."""
        session = header.get("session")
        if header.get("version") != VERSION or not isinstance(session, list) or len(session) != 2:
            raise LinkError(f"expected a link of version {VERSION}: install one version of ditto everywhere")
        deadline = time.monotonic() + PATIENCE
        number, caller = map(str, session)
        while (links := self._sessions.get((number, caller))) is None:
            if time.monotonic() > deadline:
                raise LinkError(f"the caller has no such session with party P{self._rank}")
            await asyncio.sleep(0.02)
        engine = await links.engine(deadline)
        end.send({"ok": True})
        end.join(engine)
        links.carries(peer, end)

    async def _dial(self, peer: int, about: dict[str, Any]) -> End:
        """A connection to a peer's server.

        Raises:
            LinkError: it cannot be reached, is not who it should be, or does not take the link.
        """
        address = self._hosts.links[peer]
        end: End | None = None
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                transport, end = await asyncio.get_running_loop().create_connection(
                    End, address.host, address.port, ssl=self._tls, server_hostname=""
                )
            keep_alive(transport.get_extra_info("socket"))
            check_peer(transport.get_extra_info("ssl_object"), self._hosts.names[peer])
            end.send({**about, "version": VERSION})
            answer = await end.receive()
            if "error" in answer:
                raise LinkError(str(answer["error"]))
        except (OSError, DittoError) as error:
            if end is not None:
                end.transport.abort()
            reason = "no answer in time" if isinstance(error, TimeoutError) else error
            raise LinkError(f"no link to party P{peer} at {address}: {reason}") from None
        return end

    async def ping(self, peer: int) -> dict[str, Any]:
        """How far a peer's server is.

        Returns:
            `rtt_s`, seconds; `skew_s`, by how many its clock is ahead of this one's.

        Raises:
            LinkError: it cannot be reached.
        """
        end = await self._dial(peer, {"ping": True})
        try:
            start, sent = time.monotonic(), time.time()
            end.send({"ping": True})
            answer = await end.receive()
            rtt = time.monotonic() - start
            there = float(answer["time"])
        except (WireError, TimeoutError, LookupError, TypeError, ValueError) as error:
            raise LinkError(f"party P{peer} does not answer: {error!r}") from None
        finally:
            end.transport.abort()
        return {"rtt_s": rtt, "skew_s": there - sent - rtt / 2}


class SessionLinks:
    """The links of one session.

    Args:
        rank: this party's.
        folder: where the engine's sockets are; only this user can open it.
        dial: makes a connection to a peer's server for this session.

    Attributes:
        broken: done, with what happened, when a link has broken.
    """

    def __init__(self, rank: int, folder: Path, dial: Callable[[int], Any]) -> None:
        self._rank = rank
        self._folder = folder
        self._dial = dial
        self._servers: list[asyncio.AbstractServer] = []
        self._ends: list[End] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self.broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def addresses(self) -> list[str]:
        """Where this party's engine listens, and where it finds the others, by rank."""
        return [
            f"unix:{self._folder}/{'p' if rank == self._rank else 'to'}{rank}.sock" for rank in range(PARTIES)
        ]

    async def open(self) -> None:
        """Listens for what the engine sends to its peers."""
        loop = asyncio.get_running_loop()
        for peer in range(PARTIES):
            if peer != self._rank:
                path = self.addresses[peer].removeprefix("unix:")
                make = functools.partial(_EngineEnd, self, peer)
                try:
                    self._servers.append(await loop.create_unix_server(make, path))
                except OSError as error:
                    raise LinkError(f"cannot make the engine's sockets: {error}") from None

    async def close(self) -> None:
        """Ends all of the session's connections."""
        self._fail("the session has ended")
        for server in self._servers:
            server.close()
        for task in self._tasks:
            task.cancel()
        for end in self._ends:
            end.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def engine(self, deadline: float) -> End:
        """A connection to this party's engine, as soon as it listens."""
        path = self.addresses[self._rank].removeprefix("unix:")
        while True:
            try:
                _, end = await asyncio.get_running_loop().create_unix_connection(End, path)
            except OSError as error:
                if time.monotonic() > deadline or self.broken.done():
                    raise LinkError(f"the engine of party P{self._rank} does not listen: {error}") from None
                await asyncio.sleep(0.02)
            else:
                self._ends.append(end)
                return end

    def carries(self, peer: int, end: End) -> None:
        """Watches a link to a peer: when it ends before the session does, the session cannot go on."""
        self._ends.append(end)
        end.lost.add_done_callback(lambda _: self._fail(f"its link to party P{peer} broke"))

    def connect(self, peer: int, engine: End) -> None:
        """Carries a connection of the engine to a peer."""
        self._ends.append(engine)
        task = asyncio.create_task(self._connect(peer, engine))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, peer: int, engine: End) -> None:
        try:
            end = await self._dial(peer)
        except LinkError as error:
            self._fail(str(error))
            engine.transport.abort()
            return
        engine.join(end)
        self.carries(peer, end)

    def _fail(self, what: str) -> None:
        if not self.broken.done():
            self.broken.set_result(what)


class _EngineEnd(End):
    """The engine's end of a tunnel to a peer."""

    def __init__(self, links: SessionLinks, peer: int) -> None:
        super().__init__()
        self._links = links
        self._peer = peer

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._links.connect(self._peer, self)
