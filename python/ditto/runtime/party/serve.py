"""`ditto party`: one of three hosts, serving one caller at a time.

The TLS connection of a caller ends here. Behind it is the same party process that runs locally; it lives as
long as the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path

from ditto.runtime.party.spawn import spawn_party
from ditto.runtime.transport.hosts import Hosts, HostsError, load_hosts
from ditto.runtime.transport.wire import pack_header
from ditto_compiler.errors import DittoError
from ditto_compiler.network import PARTIES

_CHUNK = 1 << 20

_PATIENCE = 5.0
"""Seconds that a caller waits for the one before to be gone: often that is the same one, after an error."""


class PartyServer:
    """Party `rank` of a hosts file.

    Args:
        path: of the hosts file.
        rank: this party's, 0, 1 or 2.
        report: told what happens, in one line each.

    Raises:
        HostsError: the file cannot be used, or has no such party.
    """

    def __init__(self, path: Path, rank: int, report: Callable[[str], None]) -> None:
        if not 0 <= rank < PARTIES:
            raise HostsError(f"there are parties 0 to {PARTIES - 1}, got {rank}")
        self._path = path.resolve()
        self._hosts: Hosts = load_hosts(path)
        self._tls = self._hosts.tls(server=True)
        self._rank = rank
        self._report = report
        self._free = asyncio.Lock()
        self._callers: set[asyncio.Task[None]] = set()

    async def serve(self) -> None:
        """Serves callers until it is cancelled; then it ends what serves them.

        Raises:
            HostsError: somebody else listens at the party's address, or it is not this machine's.
        """
        address = self._hosts.addresses[self._rank]
        try:
            server = await asyncio.start_server(self._connected, address.host, address.port, ssl=self._tls)
        except OSError as error:
            raise HostsError(f"cannot listen at {address}: {error}") from None
        self._report(f"party P{self._rank} waits for a caller at {address}")
        try:
            await server.serve_forever()
        finally:
            for task in self._callers:
                task.cancel()
            await asyncio.gather(*self._callers, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Starts to serve a caller. If this were a coroutine, asyncio would print where it was cancelled."""
        task = asyncio.create_task(self._accept(reader, writer))
        self._callers.add(task)
        task.add_done_callback(self._callers.discard)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        caller = writer.get_extra_info("peername")[0]
        try:
            try:
                # Not `wait_for`, which loses a cancellation when the lock comes free at the same time.
                async with asyncio.timeout(_PATIENCE):
                    await self._free.acquire()
            except TimeoutError:
                self._report(f"turned {caller} away: busy")
                reason = "it serves another caller; try again when that one has ended"
                writer.write(pack_header({"error": reason}))
                await writer.drain()
                return
            try:
                self._report(f"serving {caller}")
                await self._session(reader, writer)
            finally:
                self._free.release()
                self._report(f"{caller} is gone")
        except OSError:
            pass  # the caller is gone
        finally:
            writer.close()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.ExitStack() as stack:
            try:
                folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ditto-")))
                party = spawn_party(self._rank, folder, str(self._path), str(self._rank))
            except (OSError, DittoError) as error:
                self._report(f"cannot start a party process: {error}")
                writer.write(pack_header({"error": f"it cannot start a party process: {error}"}))
                await writer.drain()
                return
            try:
                from_party, to_party = await asyncio.open_connection(sock=party.sock)
                directions = [
                    asyncio.create_task(_copy(reader, to_party)),
                    asyncio.create_task(_copy(from_party, writer)),
                ]
                try:
                    # When one end is gone, there is nothing left to do for the other.
                    await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
                finally:
                    for task in directions:
                        task.cancel()
                    await asyncio.gather(*directions, return_exceptions=True)
                    to_party.close()
                if (status := party.process.poll()) is not None:
                    said = party.log.read_text(errors="replace").strip().rpartition("\n")[2]
                    self._report(f"the party ended with status {status}; it last said: {said}")
            finally:
                party.process.kill()
                party.process.wait()


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(_CHUNK):
            target.write(data)
            await target.drain()


def serve(path: Path, rank: int, report: Callable[[str], None]) -> None:
    """Runs a party until it is interrupted or asked to end, as service managers do by SIGTERM.

    Raises:
        HostsError: see `PartyServer`.
    """
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_until_told(PartyServer(path, rank, report)))


async def _until_told(server: PartyServer) -> None:
    """Serves until a signal. The loop takes it: an exception could come where it is lost, or does harm."""
    serving = asyncio.create_task(server.serve())
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving
