"""The three party processes: starting them, talking to them, noticing when one dies."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ditto.runtime.installation import installed_file
from ditto.runtime.network import LOOPBACK, Network, Relay
from ditto.runtime.wire import WireError, recv_frame, send_frame
from ditto_compiler.errors import DittoError

PARTIES = 3

PORTS = range(10_240, 32_768)
"""That parties listen on: below those that Linux gives to connections."""

Answer = tuple[dict[str, Any], list[bytearray]]


class ClusterError(DittoError):
    """A party died, failed, or did not answer in time. The next run starts fresh parties."""


@dataclass
class _Process:
    process: subprocess.Popen[bytes]
    sock: socket.socket
    log: Path


class Parties:
    """Three connected party processes, from construction until `close`.

    Args:
        timeout: seconds until they must be up; also SPU's receive time-out.
        network: what lies between them; None for loopback as it is.

    Raises:
        ClusterError: a party did not come up.
    """

    def __init__(self, timeout: float, network: Network | None) -> None:
        self._timeout = timeout
        self._folder = tempfile.TemporaryDirectory(prefix="ditto-")
        self._processes: list[_Process] = []
        self._relay: Relay | None = None
        deadline = time.monotonic() + timeout
        try:
            ports = _free_ports(PARTIES)
            addresses = [[f"{LOOPBACK}:{port}" for port in ports]] * PARTIES
            if network is not None:
                self._relay = Relay(network, ports)
                addresses = [self._relay.addresses(rank) for rank in range(PARTIES)]
            self._processes = [_spawn(rank, Path(self._folder.name)) for rank in range(PARTIES)]
            # Links connect at once when all try at the same time, otherwise after seconds.
            self.answers(deadline, "starting")
            for rank in range(PARTIES):
                header = {"command": "connect", "rank": rank, "addresses": addresses[rank]}
                between = None if network is None else dataclasses.asdict(network)
                self.send(rank, {**header, "timeout_s": timeout, "network": between})
            self.answers(deadline, "starting")
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        """Process ids by rank."""
        return [party.process.pid for party in self._processes]

    @property
    def relay_pid(self) -> int | None:
        """Process id of the relay, if there is one."""
        return None if self._relay is None else self._relay.process.pid

    def close(self) -> None:
        """Ends the processes; nothing is left behind."""
        for party in self._processes:
            party.process.kill()
            party.sock.close()
        for party in self._processes:
            party.process.wait()
        self._processes = []
        if self._relay is not None:
            self._relay.close()
            self._relay = None
        self._folder.cleanup()

    def send(self, rank: int, header: dict[str, Any], buffers: Sequence[Any] = ()) -> None:
        """Sends a command to one party.

        Raises:
            ClusterError: it is dead.
        """
        try:
            send_frame(self._processes[rank].sock, header, buffers)
        except OSError:
            raise self._death(rank, "was sent data") from None

    def send_all(self, header: dict[str, Any], buffers: Sequence[Any] = ()) -> None:
        """Sends a command to every party."""
        for rank in range(PARTIES):
            self.send(rank, header, buffers)

    def answers(
        self,
        deadline: float,
        doing: str,
        on_progress: Callable[[Sequence[int]], None] | None = None,
        time_out: float | None = None,
    ) -> list[Answer]:
        """One answer per party; a death or an error of one ends the wait for all.

        Args:
            deadline: on the monotonic clock.
            doing: what they are doing, for errors.
            on_progress: called with the step that each party has done.
            time_out: what the deadline was made from, for errors.

        Raises:
            ClusterError: a party is dead, failed, or is late.
        """
        answers: dict[int, Answer] = {}
        steps = [-1] * PARTIES
        with selectors.DefaultSelector() as selector:
            for rank, party in enumerate(self._processes):
                selector.register(party.sock, selectors.EVENT_READ, rank)
            if self._relay is not None:
                selector.register(self._relay.output, selectors.EVENT_READ, None)
            while len(answers) < PARTIES:
                left = deadline - time.monotonic()
                ready = selector.select(max(left, 0)) if left > 0 else []
                if not ready:
                    late = ", ".join(f"P{rank}" for rank in range(PARTIES) if rank not in answers)
                    raise ClusterError(
                        f"{doing} took longer than the time-out of {time_out or self._timeout:g} s "
                        f"(no answer from {late}); "
                        "give LocalCluster a larger timeout"
                    )
                # Without the relay the parties fail as well, but they cannot know why.
                if self._relay is not None and self._relay.process.poll() is not None:
                    raise ClusterError(f"{self._relay.epitaph()} while {doing}")
                for key, _ in ready:
                    rank = key.data
                    if rank is None:
                        continue
                    party = self._processes[rank]
                    party.sock.settimeout(max(deadline - time.monotonic(), 0.1))
                    try:
                        header, buffers = recv_frame(party.sock)
                    except (WireError, OSError):
                        raise self._death(rank, f"was {doing}") from None
                    if "progress" in header:
                        steps[rank] = header["progress"]
                        if on_progress is not None:
                            on_progress(steps)
                    elif "error" in header:
                        raise ClusterError(f"party P{rank} failed while {doing}: {header['error']}")
                    else:
                        answers[rank] = (header, buffers)
                        selector.unregister(party.sock)
        return [answers[rank] for rank in range(PARTIES)]

    def _death(self, rank: int, doing: str) -> ClusterError:
        party = self._processes[rank]
        try:
            status = party.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return ClusterError(f"party P{rank} closed its connection while it {doing}")
        cause = f"by signal {-status}" if status < 0 else f"with exit code {status}"
        lines = party.log.read_text(errors="replace").strip().splitlines()
        last = f"; it last said: {lines[-1]}" if lines else ""
        return ClusterError(f"party P{rank} died {cause} while it {doing}{last}")


def _free_ports(count: int) -> list[int]:
    """Ports of loopback that were free a moment ago.

    Not those that the system would choose: it may give such a port to any connection, also to one among the
    parties, before the party listens on it.
    """
    ports: set[int] = set()
    for _ in range(1000):
        port = PORTS.start + secrets.randbelow(len(PORTS))
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind((LOOPBACK, port))
            ports.add(port)
        if len(ports) == count:
            return list(ports)
    raise ClusterError(f"no {count} free ports between {PORTS.start} and {PORTS.stop} on {LOOPBACK}")


def _spawn(rank: int, folder: Path) -> _Process:
    ours, theirs = socket.socketpair()
    log = folder / f"party{rank}.log"
    with theirs, log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ditto.runtime.party", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=party_environment(),
        )
    return _Process(process, ours, log)


def party_environment() -> dict[str, str]:
    """The environment that SPU needs.

    `OMP_THREAD_LIMIT=1`, for Eigen would otherwise start four threads per product, which makes products
    several times slower; and a malloc that aligns to 64 bytes, for products in ring 32 read with
    aligned vector loads from buffers that glibc aligns to 16.
    """
    library = installed_file("libditto_malloc.so")
    preload = os.environ.get("LD_PRELOAD")
    return {
        **os.environ,
        "OMP_THREAD_LIMIT": "1",
        "LD_PRELOAD": f"{library}:{preload}" if preload else str(library),
    }
