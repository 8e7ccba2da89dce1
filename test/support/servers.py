"""Three `ditto party` on loopback, which differ from hosts of their own in nothing but the address."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from test.support.certificates import Authority
from test.support.processes import child_environment

from ditto.runtime.transport import hosts
from ditto.runtime.transport.ports import LOOPBACK, free_ports
from ditto_compiler.network import PARTIES

ANY = '[[allow]]\nprograms = "any"\ncallers = ["{caller}"]\n'
"""An access file in which one caller may run anything on its own inputs."""

NAMES = [f"p{rank}.test" for rank in range(PARTIES)]


def hosts_text(ports: Sequence[int], links: Sequence[int] | None = None) -> str:
    """A hosts file; `ports` are address and link of each party in turn."""
    found = list(ports[1::2]) if links is None else links
    return hosts.hosts_text(
        (f"{LOOPBACK}:{ports[2 * rank]}", f"{LOOPBACK}:{found[rank]}", NAMES[rank]) for rank in range(PARTIES)
    )


def children(pid: int) -> list[int]:
    """Process ids of the children of a process."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_until(condition: Callable[[], object], seconds: float = 20.0) -> None:
    """Waits until something holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


class Servers:
    """Three `ditto party`, each in a folder of its own, and a folder for each caller.

    Args:
        folder: an empty one.
        access: of all parties.
        callers: names in the callers' certificates.
        links: that the parties are told of each other, by the rank of who is told; for relays between.
    """

    def __init__(
        self,
        folder: Path,
        access: str = ANY.format(caller="caller.test"),
        callers: Sequence[str] = ("caller.test",),
        ports: Sequence[int] = (),
        links: Sequence[Sequence[int]] = (),
    ) -> None:
        self.folder = folder
        self.authority = Authority(folder / "authority")
        self.ports = list(ports) or free_ports(2 * PARTIES)
        self.links = links
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        for caller in callers:
            self.caller(caller)
        for rank in range(PARTIES):
            own = folder / str(rank)
            own.mkdir(exist_ok=True)
            (own / "hosts.toml").write_text(hosts_text(self.ports, links[rank] if links else None))
            (own / "access.toml").write_text(access)
            self.authority.issue(own, NAMES[rank])
        self.logs = [folder / str(rank) / "log" for rank in range(PARTIES)]
        self.processes = [self._start(rank) for rank in range(PARTIES)]
        for rank in range(PARTIES):
            self.wait_for(rank)

    def caller(self, name: str, **options: object) -> Path:
        """A folder with a hosts file and a certificate for `name`; the path of the hosts file."""
        own = self.folder / name
        own.mkdir()
        (own / "hosts.toml").write_text(hosts_text(self.ports))
        self.authority.issue(own, name, **options)
        return own / "hosts.toml"

    def _start(self, rank: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "ditto_tools", "party", str(self.folder / str(rank) / "hosts.toml")]
        environment = child_environment(TMPDIR=str(self.temporary))
        with self.logs[rank].open("ab") as log:
            return subprocess.Popen([*command, "--rank", str(rank)], env=environment, stderr=log)

    def wait_for(self, rank: int) -> None:
        """Waits until a party waits for callers."""

        def waits() -> bool:
            assert self.processes[rank].poll() is None, self.log(rank)
            return "waits for callers" in self.log(rank)

        wait_until(waits, 60)

    def restart(self, rank: int) -> None:
        """Starts a party that has ended again."""
        self.logs[rank].write_text("")
        self.processes[rank] = self._start(rank)
        self.wait_for(rank)

    def log(self, rank: int) -> str:
        """What a party said since it started."""
        return self.logs[rank].read_text()

    @property
    def hosts(self) -> Path:
        """The hosts file of the only caller."""
        return self.folder / "caller.test" / "hosts.toml"

    def sessions(self) -> list[int]:
        """Process ids of the parties that serve a caller."""
        return [pid for process in self.processes for pid in children(process.pid)]

    def left(self) -> list[Path]:
        """What sessions left in the folders for temporary files."""
        return [
            path
            for folder in self.temporary.iterdir()
            for path in folder.iterdir()
            if path.name not in ("lock", "store")
        ]

    def close(self, number: signal.Signals = signal.SIGTERM) -> list[int]:
        """Ends all; their exit codes."""
        for process in self.processes:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGCONT)
                process.send_signal(number)
        return [process.wait(timeout=20) for process in self.processes]
