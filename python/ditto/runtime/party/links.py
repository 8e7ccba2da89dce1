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
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

from ditto.runtime.party.listener import HANDSHAKE_S
from ditto.runtime.party.tunnel import Lane, Tunnel
from ditto.runtime.transport.hosts import Hosts
from ditto.runtime.transport.identity import IdentityError, check_peer, peer_names
from ditto.runtime.transport.keepalive import keep_alive
from ditto.runtime.transport.wire import VERSION, WireError
from ditto_compiler.errors import DittoError
from ditto_compiler.network import PARTIES

PATIENCE = 30.0
"""Seconds that a link waits until the other party's engine of that session listens."""

_PINGS = 10
_DIRECTIONS = ("there", "back")


class LinkError(DittoError):
    """A link among parties that cannot be made."""


class Links:
    """All links of this party.

    Args:
        hosts: of all parties, and this one's certificate.
        rank: this party's.
    """

    def __init__(self, hosts: Hosts, rank: int) -> None:
        self._hosts = hosts
        self._rank = rank
        self._tls = {server: hosts.tls(server=server) for server in (False, True)}
        self._sessions: dict[tuple[str, str], SessionLinks] = {}

    @contextlib.asynccontextmanager
    async def session(self, number: str, caller: str, folder: Path) -> AsyncIterator[SessionLinks]:
        """The links of a session, which a caller has with all three parties under one number.

        Raises:
            LinkError: this caller already has a session of that number, or there can be no sockets.
        """
        key = (number, caller)
        if key in self._sessions:
            raise LinkError("there is a session of that number")
        links = SessionLinks(
            self._rank, folder, lambda peer, about: self._dial(peer, {**about, "session": key})
        )
        self._sessions[key] = links
        try:
            links.open()
            yield links
        finally:
            del self._sessions[key]
            await links.close()

    async def shake_hands(self, sock: socket.socket) -> Lane:
        """The lane of who connects to this party's link address."""
        return await Lane.shake_hands(sock, self._tls[True], server=True)

    async def accept(self, lane: Lane) -> None:
        """Serves a connection to this party's link address, whose TLS handshake is done."""
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                names = peer_names(lane.tls)
                ranks = [r for r, name in enumerate(self._hosts.names) if name in names and r != self._rank]
                if len(ranks) != 1:
                    raise IdentityError(
                        f"only the other parties connect here, not {', '.join(names) or 'nobody'}"
                    )
                header = await lane.receive()
                for _ in range(_PINGS):
                    if "ping" not in header:
                        break
                    await lane.send({"ok": True, "time": time.time(), "version": VERSION})
                    header = await lane.receive()
            ended = await self._give(header, ranks[0], lane)
        except (OSError, DittoError) as error:
            with contextlib.suppress(OSError):
                async with asyncio.timeout(HANDSHAKE_S):
                    await lane.send({"error": str(error) or "nothing was said in time"})
            return
        await ended

    async def _give(self, header: dict[str, Any], peer: int, lane: Lane) -> asyncio.Future[None]:
        """Joins a peer's lanes to the engine of the session that they are for; done when these end."""
        match header:
            case {
                "version": version,
                "session": [str(number), str(caller)],
                "tunnel": str(tunnel),
                "direction": str(direction),
            } if version == VERSION and direction in _DIRECTIONS:
                pass
            case _:
                raise LinkError(f"expected a link of version {VERSION}: install one ditto everywhere")
        deadline = time.monotonic() + PATIENCE
        while (links := self._sessions.get((number, caller))) is None:
            if time.monotonic() > deadline:
                raise LinkError(f"the caller has no such session with party P{self._rank}")
            await asyncio.sleep(0.02)
        return await links.join(peer, tunnel, direction, lane, deadline)

    async def _dial(self, peer: int, about: dict[str, Any]) -> Lane:
        """A connection to a peer's server, which has agreed to what it is for.

        Raises:
            LinkError: it cannot be reached, is not who it should be, or does not agree.
        """
        address = self._hosts.links[peer]
        lane: Lane | None = None
        try:
            async with asyncio.timeout(HANDSHAKE_S):
                sock = await _connected(address.host, address.port)
                lane = await Lane.shake_hands(sock, self._tls[False], server=False)
            check_peer(lane.tls, self._hosts.names[peer])
            async with asyncio.timeout(PATIENCE + HANDSHAKE_S):
                await lane.send({**about, "version": VERSION})
                answer = await lane.receive()
            if "error" in answer:
                raise LinkError(str(answer["error"]))
        except BaseException as error:
            if lane is not None:
                lane.close()
            if not isinstance(error, (OSError, DittoError)):
                raise
            reason = "no answer in time" if isinstance(error, TimeoutError) else error
            raise LinkError(f"no link to party P{peer} at {address}: {reason}") from None
        return lane

    async def ping(self, peer: int, seconds: float) -> dict[str, Any]:
        """How far a peer's server is, which has some seconds to answer.

        Returns:
            `rtt_s`, seconds; `skew_s`, by how many its clock is ahead of this one's; `version`, of what it
            speaks.

        Raises:
            LinkError: it cannot be reached.
        """
        lane: Lane | None = None
        try:
            async with asyncio.timeout(seconds):
                lane = await self._dial(peer, {"ping": True})
                start, sent = time.monotonic(), time.time()
                await lane.send({"ping": True})
                answer = await lane.receive()
                rtt = time.monotonic() - start
            skew = float(answer["time"]) - sent - rtt / 2
        except TimeoutError:
            raise LinkError(
                f"no link to party P{peer} at {self._hosts.links[peer]}: no answer in {seconds:g} s"
            ) from None
        except (OSError, WireError, KeyError, TypeError, ValueError) as error:
            raise LinkError(f"party P{peer} does not answer: {error}") from None
        finally:
            if lane is not None:
                lane.close()
        return {"rtt_s": rtt, "skew_s": skew, "version": answer.get("version")}


async def _connected(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    (family, kind, number, _, where), *_ = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    sock = socket.socket(family, kind, number)
    try:
        sock.setblocking(False)
        keep_alive(sock)
        await loop.sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock


class SessionLinks:
    """The links of one session.

    Args:
        rank: this party's.
        folder: where the engine's sockets are; only this user can open it.
        dial: makes a lane to a peer's server for this session.

    Attributes:
        broken: done, with what happened, when a link has broken.
    """

    def __init__(
        self, rank: int, folder: Path, dial: Callable[[int, dict[str, Any]], Coroutine[Any, Any, Lane]]
    ) -> None:
        self._rank = rank
        self._folder = folder
        self._dial = dial
        self._tasks: set[asyncio.Task[None]] = set()
        self._tunnels: list[Tunnel] = []
        self._waiting: dict[tuple[int, str], dict[str, tuple[Lane, asyncio.Future[Tunnel]]]] = {}
        self.broken: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @property
    def addresses(self) -> list[str]:
        """Where this party's engine listens, and where it finds the others, by rank."""
        return [
            f"unix:{self._folder}/{'p' if rank == self._rank else 'to'}{rank}.sock" for rank in range(PARTIES)
        ]

    def _path(self, rank: int) -> str:
        return self.addresses[rank].removeprefix("unix:")

    def open(self) -> None:
        """Listens for what the engine sends to its peers.

        Raises:
            LinkError: there can be no sockets.
        """
        for peer in range(PARTIES):
            if peer == self._rank:
                continue
            listener = socket.socket(socket.AF_UNIX)
            try:
                listener.bind(self._path(peer))
                listener.listen()
                listener.setblocking(False)
            except OSError as error:
                listener.close()
                raise LinkError(f"cannot make the engine's sockets: {error}") from None
            self._start(self._accept_engine(peer, listener))

    def _start(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Ends all of the session's connections."""
        self._fail("the session has ended")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for lanes in self._waiting.values():
            for _, joined in lanes.values():
                joined.cancel()
        for tunnel in self._tunnels:
            tunnel.close()
        await asyncio.gather(*(tunnel.ended for tunnel in self._tunnels))

    async def _accept_engine(self, peer: int, listener: socket.socket) -> None:
        with listener:
            while True:
                try:
                    engine, _ = await asyncio.get_running_loop().sock_accept(listener)
                except OSError as error:
                    self._fail(f"the engine cannot reach party P{peer}: {error}")
                    return
                self._start(self._connect(peer, engine))

    async def _connect(self, peer: int, engine: socket.socket) -> None:
        """Carries a connection of the engine to a peer."""
        tunnel = secrets.token_hex(8)
        dialling = [
            asyncio.create_task(self._dial(peer, {"tunnel": tunnel, "direction": direction}))
            for direction in _DIRECTIONS
        ]
        try:
            there, back = await asyncio.gather(*dialling)
        except BaseException as error:
            for task in dialling:
                task.cancel()
            for done in await asyncio.gather(*dialling, return_exceptions=True):
                if isinstance(done, Lane):
                    done.close()
            engine.close()
            if not isinstance(error, LinkError):
                raise
            self._fail(str(error))
            return
        self._carry(peer, engine, there, back)

    async def join(
        self, peer: int, tunnel: str, direction: str, lane: Lane, deadline: float
    ) -> asyncio.Future[None]:
        """Takes one of a peer's two lanes; the second one to come is joined to the engine with the first.

        Returns:
            done when the tunnel ends.

        Raises:
            LinkError: the engine does not listen, or the other lane does not come, until `deadline`.
        """
        lanes = self._waiting.get((peer, tunnel), {})
        if direction in lanes or (not lanes and len(self._waiting) >= 2 * PARTIES):
            raise LinkError("there is such a link already")
        self._waiting[peer, tunnel] = lanes
        joined: asyncio.Future[Tunnel] = asyncio.get_running_loop().create_future()
        lanes[direction] = (lane, joined)
        try:
            if len(lanes) == len(_DIRECTIONS):
                engine = await self._engine(deadline)
                (there, first), (back, second) = (lanes[name] for name in _DIRECTIONS)
                try:
                    for each in (there, back):
                        await each.send({"ok": True})
                except BaseException:
                    engine.close()
                    raise
                made = self._carry(peer, engine, into=there, out=back)
                for future in (first, second):
                    if not future.done():
                        future.set_result(made)
            async with asyncio.timeout(max(deadline - time.monotonic(), 0)):
                return (await joined).ended
        except TimeoutError:
            raise LinkError("the other half of the link did not come") from None
        except asyncio.CancelledError:
            if joined.cancelled():
                raise LinkError("the session has ended") from None
            raise
        finally:
            self._waiting.pop((peer, tunnel), None)

    def _carry(self, peer: int, engine: socket.socket, out: Lane, into: Lane) -> Tunnel:
        """Joins an engine's connection to lanes; when they end before the session does, it cannot go on."""
        tunnel = Tunnel(engine, out, into)
        self._tunnels.append(tunnel)
        tunnel.ended.add_done_callback(lambda _: self._fail(f"its link to party P{peer} broke"))
        return tunnel

    async def _engine(self, deadline: float) -> socket.socket:
        """A connection to this party's engine, as soon as it listens."""
        while True:
            engine = socket.socket(socket.AF_UNIX)
            engine.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(engine, self._path(self._rank))
                return engine
            except OSError as error:
                engine.close()
                if time.monotonic() > deadline or self.broken.done():
                    raise LinkError(f"the engine of party P{self._rank} does not listen: {error}") from None
                await asyncio.sleep(0.02)
            except BaseException:
                engine.close()
                raise

    def _fail(self, what: str) -> None:
        if not self.broken.done():
            self.broken.set_result(what)
