"""A party's server in a thread of the tests, whose processes only pretend: for hundreds of sessions."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from test.support.certificates import Authority
from test.support.servers import NAMES, hosts_text

from ditto.runtime.party.serve import PartyServer
from ditto.runtime.party.spawn import PartyProcess
from ditto.runtime.transport.hosts import load_hosts
from ditto.runtime.transport.ports import free_ports
from ditto.runtime.transport.wire import VERSION, WireError, recv_frame, send_frame
from ditto_compiler.network import PARTIES


class PretendedProcess(PartyProcess):
    """What a session takes for its process: it agrees with everything.

    A program's file is JSON here, which says what is told of it (`about`) and what its run does (`run`).
    """

    def __init__(self, folder: Path) -> None:
        sock, self._own = socket.socketpair()
        process = SimpleNamespace(kill=self._kill, wait=self._status, poll=self._status)
        super().__init__(process, sock, folder / "log")
        self.log.write_text("Ouch\n")
        self.status: int | None = None
        self._killed = threading.Event()
        self.received: list[dict[str, Any]] = []
        self._programs: dict[str, Any] = {}
        threading.Thread(target=self._serve, daemon=True).start()

    def _kill(self) -> None:
        self.status = -9
        self._killed.set()
        with contextlib.suppress(OSError):
            self._own.shutdown(socket.SHUT_RDWR)

    def _status(self) -> int | None:
        return self.status

    def _serve(self) -> None:
        with contextlib.suppress(WireError, OSError):
            send_frame(self._own, {"ok": True})
            while True:
                header, buffers = recv_frame(self._own)
                self.received.append(header)
                match header["command"]:
                    case "connect":
                        send_frame(self._own, {"ok": True})
                    case "load":
                        program = self._programs[header["digest"]] = json.loads(bytes(buffers[0]))
                        send_frame(self._own, {"ok": True, "about": program["about"]})
                        if program.get("run") == "deaf":
                            self._killed.wait(60)
                    case "prepare":
                        send_frame(self._own, {"ok": True, "seconds": 0.5})
                    case "run":
                        self._run(self._programs[header["digest"]])
        self._own.close()

    def _run(self, program: dict[str, Any]) -> None:
        outputs = [b"\0" * output["bytes"] for output in program["about"]["outputs"]]
        kinds = [{"kind": "public"} for _ in outputs]
        match program.get("run"):
            case "progress":
                while True:
                    send_frame(self._own, {"progress": 0})
            case "junk":
                self._own.sendall(b"\xff" * 100)
            case "dies":
                self.status = -11
                raise OSError("dead")
            case "waits":
                pass
            case _:
                send_frame(self._own, {"ok": True, "seconds": 0.5, "outputs": kinds}, outputs)


class InnerServer:
    """Party 0 with pretended processes, in a thread.

    Args:
        folder: an empty one.
        access: its access file.
        callers: names in callers' certificates.

    Attributes:
        said: what it reported.
        unexpected: what went wrong in it that nobody handled.
        processes: that sessions had.
    """

    def __init__(self, folder: Path, access: str, callers: list[str]) -> None:
        self._folder = folder
        self.authority = Authority(folder / "authority")
        self.ports = free_ports(2 * PARTIES)
        for name in (NAMES[0], *callers):
            self.member(name)
        (folder / NAMES[0] / "access.toml").write_text(access)
        self.sockets = folder / "s"
        self.sockets.mkdir()
        self.said: list[str] = []
        self.unexpected: list[dict[str, Any]] = []
        self.processes: list[PretendedProcess] = []
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self.unexpected.append(context))
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(20)

    def member(self, name: str) -> Path:
        """A folder with a hosts file and a certificate; the path of the hosts file."""
        own = self._folder / name
        own.mkdir()
        (own / "hosts.toml").write_text(hosts_text(self.ports))
        self.authority.issue(own, name)
        return own / "hosts.toml"

    def spawn(self, rank: int, folder: Path) -> PretendedProcess:
        """In place of `spawn_party`."""
        process = PretendedProcess(folder)
        self.processes.append(process)
        return process

    def _heard(self, line: str) -> None:
        self.said.append(line)
        self._ready.set()

    def _run(self) -> None:
        async def serve() -> None:
            hosts = self._folder / NAMES[0] / "hosts.toml"
            self.server = PartyServer(hosts, 0, self.sockets, self._heard)
            self._serving = asyncio.create_task(self.server.serve())
            with contextlib.suppress(asyncio.CancelledError):
                await self._serving
            gc.collect()
            await asyncio.sleep(0)

        self._loop.run_until_complete(serve())
        self._loop.close()

    def close(self) -> None:
        """Ends it."""
        self._loop.call_soon_threadsafe(self._serving.cancel)
        self._thread.join(20)
        assert not self._thread.is_alive()

    def connect(self, name: str, *, link: bool = False) -> socket.socket:
        """A connection to it by who has the certificate of `name`."""
        hosts = load_hosts(self._folder / name / "hosts.toml")
        address = (hosts.links if link else hosts.addresses)[0]
        plain = socket.create_connection((address.host, address.port), timeout=20)
        return hosts.tls(server=False).wrap_socket(plain)

    @contextlib.contextmanager
    def session(self, name: str = "caller.test", number: int = 1) -> Iterator[socket.socket]:
        """A session, ready for commands."""
        with self.connect(name) as sock:
            send_frame(sock, hello(number))
            assert recv_frame(sock)[0] == {"admitted": True}
            assert recv_frame(sock)[0] == {"ok": True}
            yield sock


def hello(number: int = 1) -> dict[str, Any]:
    """What a caller says first."""
    return {"command": "hello", "version": VERSION, "rank": 0, "session": f"{number:032x}"}
