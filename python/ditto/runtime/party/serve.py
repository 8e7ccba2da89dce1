"""`ditto party`: one of three hosts, which serves callers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ditto.runtime.party.access import Access, load_access
from ditto.runtime.party.admission import Admission, BusyError
from ditto.runtime.party.deposits import Deposits
from ditto.runtime.party.links import LinkError, Links
from ditto.runtime.party.listener import HANDSHAKE_S, Listener
from ditto.runtime.party.memory import protect_memory
from ditto.runtime.party.session import CHUNK, Client, Session, SessionError
from ditto.runtime.transport.hosts import Hosts, HostsError, load_hosts
from ditto.runtime.transport.identity import IdentityError, only_name, peer_names
from ditto.runtime.transport.runtime_folder import RuntimeFolder
from ditto.runtime.transport.wire import VERSION, Closed, WireError, one_line, pack_header, read_header
from ditto_compiler.errors import DittoError
from ditto_compiler.network import PARTIES

_HELLO_S = 10.0
_LINKS_S = 10.0
_CONNECTIONS = 64
_CLOSING_S = 3.0
_REMOVALS = 100
_LONGEST_LINE = 1000
_SESSION = re.compile("[0-9a-f]{32}")


class PartyServer:
    """Party `rank` of a hosts file.

    Args:
        path: of the hosts file.
        rank: this party's, 0, 1 or 2.
        folder: for sockets, which only this user can open.
        report: told what happens, in one line each.

    Raises:
        HostsError: the hosts file or its certificates cannot be used, or there is no such party.
        AccessError: the access file cannot be used.
        StoreError: deposits cannot be kept.
    """

    def __init__(self, path: Path, rank: int, folder: Path, report: Callable[[str], None]) -> None:
        if not 0 <= rank < PARTIES:
            raise HostsError(f"there are parties 0 to {PARTIES - 1}, got {rank}")
        hosts = load_hosts(path)
        if hosts.access is None:
            raise HostsError(
                f"hosts file '{path}' has no 'access', the path of the file that says what callers may do; "
                "a party needs one, see docs/howto/hosts.md"
            )
        self._hosts: Hosts = hosts
        self._access: Access = load_access(hosts.access)
        self._rank = rank
        self._folder = folder
        self._told = report
        self._connections: Counter[str] = Counter()
        self._tls = hosts.tls(server=True)
        self._pings: dict[int, asyncio.Task[dict[str, Any]]] = {}
        self._links = Links(hosts, rank)
        self._deposits = Deposits(self._access, folder)
        self._admission = Admission(self._access.sessions)

    def _report(self, what: str) -> None:
        # A full disk under the log is no reason to serve nobody.
        with contextlib.suppress(OSError):
            # Of what was done, some words are others'.
            self._told(f"{_now()} {one_line(what)}")

    async def serve(self) -> None:
        """Serves callers until it is cancelled; then it ends what serves them.

        Raises:
            HostsError: somebody else listens at the party's address, or it is not this machine's.
        """
        address, link = self._hosts.addresses[self._rank], self._hosts.links[self._rank]
        callers = Listener(address, self._shake_hands, self._accept)
        peers = Listener(link, self._links.shake_hands, self._links.accept)
        self._report(f"party P{self._rank} waits for callers at {address}")
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(callers.serve())
                group.create_task(peers.serve())
        finally:
            self._deposits.close()

    async def _shake_hands(self, sock: socket.socket) -> _Stream:
        # Who reads nothing does not keep a connection.
        _, stream = await asyncio.get_running_loop().connect_accepted_socket(
            _Stream,
            sock,
            ssl=self._tls,
            ssl_handshake_timeout=HANDSHAKE_S,
            ssl_shutdown_timeout=_CLOSING_S,
        )
        return stream

    async def _accept(self, stream: _Stream) -> None:
        """Serves a caller whose TLS handshake is done."""
        reader, transport = stream.reader, stream.transport
        writer = asyncio.StreamWriter(transport, stream, reader, asyncio.get_running_loop())
        caller = "?"
        try:
            names = peer_names(transport.get_extra_info("ssl_object"))
            caller = ", ".join(names) or caller
            # Parties may ask how it is, and nothing else.
            is_party = not set(names).isdisjoint(self._hosts.names)
            if not is_party:
                caller = self._known(transport)
            with self._connection(caller):
                await self._serve_caller(caller, transport, reader, writer)
        except Closed:
            pass
        except (DittoError, TimeoutError) as error:
            self._report(f"{caller}: turned away: {error}")
            with contextlib.suppress(DittoError):
                reason = str(error) or "nothing was said in time"
                await _write(writer, {"error": reason[:_LONGEST_LINE]})

    @contextlib.contextmanager
    def _connection(self, caller: str) -> Iterator[None]:
        """Counts the connections of a caller, who cannot have all that the system has."""
        if self._connections[caller] >= _CONNECTIONS:
            raise BusyError(f"{caller} has {_CONNECTIONS} connections already")
        self._connections[caller] += 1
        try:
            yield
        finally:
            self._connections[caller] -= 1

    async def _serve_caller(
        self, caller: str, transport: Any, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        async with asyncio.timeout(_HELLO_S):
            header, sizes = await read_header(reader)
        # Of whatever version who asks is: the answer says which is spoken here.
        if header.get("command") == "status" and not sizes:
            await _write(writer, await self._status(header))
            return
        caller = self._known(transport)
        if sizes or header.get("version") != VERSION:
            raise WireError(
                f"party P{self._rank} speaks version {VERSION} of the protocol, not "
                f"{header.get('version')!r}; install the same ditto everywhere"
            )
        await self._session(header, caller, reader, writer)

    def _known(self, transport: Any) -> str:
        """Who calls.

        Raises:
            IdentityError: nobody whom the access file mentions.
        """
        caller = only_name(transport.get_extra_info("ssl_object"))
        if not self._access.knows(caller):
            raise IdentityError(
                f"the access file of party P{self._rank} does not mention '{caller}': it takes an [[allow]] "
                f'with "{caller}" in callers, or a [[deposit]] with owner = "{caller}", and a restart'
            )
        return caller

    async def _session(
        self, header: dict[str, Any], caller: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        number = header.get("session")
        if header.get("command") != "hello" or not isinstance(number, str) or not _SESSION.fullmatch(number):
            raise WireError("a caller says hello first, with the number of its session")
        if header.get("rank") != self._rank:
            raise HostsError(
                f"this is party P{self._rank}; the caller's hosts file has party P{header.get('rank')} here"
            )
        short = number[:8]

        def report(what: str) -> None:
            self._report(f"{caller}, session {short}: {what}")

        async with (
            self._turn(caller, reader, writer),
            self._folder_of() as folder,
            self._links.session(number, caller, folder) as links,
        ):
            report("begins")
            await _write(writer, {"admitted": True})
            client = Client(caller, reader, writer)
            session = Session(client, self._access, self._deposits, links, self._rank, folder, report)
            await session.serve()
            report("ends")

    @contextlib.asynccontextmanager
    async def _turn(
        self, caller: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> AsyncIterator[None]:
        """Waits for the caller's turn, unless it leaves."""
        async with contextlib.AsyncExitStack() as stack:
            turn = asyncio.create_task(stack.enter_async_context(self._admission.session(caller)))
            try:
                while not turn.done():
                    await asyncio.wait([turn], timeout=0.2)
                    if reader.at_eof() or reader.exception() is not None or writer.is_closing():
                        raise Closed("the caller left")
            finally:
                if not turn.done():
                    turn.cancel()
                    await asyncio.gather(turn, return_exceptions=True)
            turn.result()
            yield

    @contextlib.asynccontextmanager
    async def _folder_of(self) -> Any:
        # Not of the session's number, which another caller could have chosen, too.
        folder = self._folder / os.urandom(4).hex()
        try:
            folder.mkdir(0o700)
        except OSError as error:
            raise SessionError(f"it cannot start a party process: {error}") from None
        try:
            yield folder
        finally:
            # While no descriptors are left, folders cannot be looked into.
            for _ in range(_REMOVALS):
                shutil.rmtree(folder, ignore_errors=True)
                if not folder.exists():
                    break
                await asyncio.sleep(0.2)

    async def _status(self, header: dict[str, Any]) -> dict[str, Any]:
        """What `ditto doctor` asks for; `links_s` are the seconds that the links may take to answer."""
        seconds = header.get("links_s")
        if not isinstance(seconds, (int, float)) or not 0 < seconds <= _LINKS_S:
            seconds = _LINKS_S

        peers = [peer for peer in range(PARTIES) if peer != self._rank]
        answers = await asyncio.gather(*(self._ping(peer, seconds) for peer in peers))
        return {
            "ok": True,
            "rank": self._rank,
            "names": list(self._hosts.names),
            "version": VERSION,
            "ditto": version("ditto-mpc"),
            "spu": version("spu"),
            "time": time.time(),
            "sessions": self._admission.running,
            "waiting": self._admission.waiting,
            "limit": self._access.sessions,
            "links": {str(peer): answer for peer, answer in zip(peers, answers, strict=True)},
        }

    async def _ping(self, peer: int, seconds: float) -> dict[str, Any]:
        """What is known of a link after so many seconds.

        There is one ping at a time: callers who ask often do not make parties connect often.
        """
        if peer not in self._pings:
            self._pings[peer] = asyncio.create_task(self._pinged(peer))
            self._pings[peer].add_done_callback(lambda _: self._pings.pop(peer))
        try:
            async with asyncio.timeout(seconds):
                return await asyncio.shield(self._pings[peer])
        except TimeoutError:
            where = f"party P{peer} at {self._hosts.links[peer]}"
            return {"error": f"no link to {where}: no answer in {seconds:g} s"}

    async def _pinged(self, peer: int) -> dict[str, Any]:
        try:
            return await self._links.ping(peer, _LINKS_S)
        except LinkError as error:
            return {"error": str(error)}


class _Stream(asyncio.StreamReaderProtocol):
    """A connection that is read as a stream.

    Attributes:
        reader: of what comes.
        transport: of the connection.
    """

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader(limit=CHUNK)
        self.transport: Any = None
        super().__init__(self.reader)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        super().connection_made(transport)

    def close(self) -> None:
        """Ends the connection."""
        self.transport.close()


async def _write(writer: asyncio.StreamWriter, header: dict[str, Any]) -> None:
    try:
        writer.write(pack_header(header))
        async with asyncio.timeout(_HELLO_S):
            await writer.drain()
    except (OSError, TimeoutError) as error:
        raise Closed(f"the connection was lost: {error}") from None


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def serve(path: Path, rank: int, report: Callable[[str], None]) -> None:
    """Runs a party until it is interrupted or asked to end, as service managers do by SIGTERM.

    Raises:
        DittoError: see `PartyServer`.
    """
    protect_memory()
    with RuntimeFolder() as folder, contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_until_told(lambda: PartyServer(path, rank, folder.path, report)))


async def _until_told(make: Callable[[], PartyServer]) -> None:
    """Serves until a signal. The loop takes it: an exception could come where it is lost, or does harm."""

    async def run() -> None:
        await make().serve()

    serving = asyncio.create_task(run())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving
