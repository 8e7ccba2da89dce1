"""The three parties as their caller sees them: talking to them, and noticing when one dies."""

from __future__ import annotations

import contextlib
import dataclasses
import selectors
import socket
import ssl
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ditto.runtime.party.spawn import PartyProcess, spawn_party
from ditto.runtime.transport.relay import UNIX, Relay
from ditto.runtime.transport.runtime_folder import RuntimeFolder
from ditto.runtime.transport.wire import WireError, recv_frame, send_frame
from ditto_compiler.errors import DittoError
from ditto_compiler.network import PARTIES, Network
from ditto_compiler.processes import cause_of_death

Answer = tuple[dict[str, Any], list[bytearray]]


class ClusterError(DittoError):
    """A party died, failed, or did not answer in time. The next run starts fresh parties."""


class Parties(ABC):
    """Three connected parties, from construction until `close`.

    Args:
        timeout: seconds until they must be connected; `begin` says how many for what comes then.
    """

    def __init__(self, timeout: float) -> None:
        self.begin(timeout)
        self._sockets: list[socket.socket] = []
        self._relay: Relay | None = None

    def begin(self, seconds: float) -> float:
        """Starts the clock of what they are asked next; when it ends, on the monotonic clock."""
        self._timeout = seconds
        self._deadline = time.monotonic() + seconds
        return self._deadline

    @abstractmethod
    def close(self) -> None:
        """Ends the parties' work for this caller."""

    @abstractmethod
    def _death(self, rank: int, doing: str, error: Exception | None = None) -> ClusterError:
        """What is known of a party whose connection has ended."""

    def _connect_command(
        self, rank: int, addresses: Sequence[str], network: Network | None
    ) -> dict[str, Any]:
        return {
            "command": "connect",
            "rank": rank,
            "addresses": list(addresses),
            "timeout_s": self._timeout,
            "network": None if network is None else dataclasses.asdict(network),
        }

    def send(self, rank: int, header: dict[str, Any], buffers: Sequence[Any] = ()) -> None:
        """Sends a command to one party.

        Raises:
            ClusterError: it is dead, or does not take it in time.
        """
        try:
            send_frame(self._sockets[rank], header, buffers, self._deadline)
        except TimeoutError:
            raise self._late(f"sending to P{rank}", "not all was taken") from None
        except OSError as error:
            raise self._last_words(rank) or self._death(rank, "was sent data", error) from None

    def _last_words(self, rank: int) -> ClusterError | None:
        """What a party said before it ended its connection, if it did."""
        sock = self._sockets[rank]
        with contextlib.suppress(WireError, OSError):
            deadline = time.monotonic() + 1
            while "error" not in (header := recv_frame(sock, deadline)[0]):
                pass
            return ClusterError(f"party P{rank} failed while it was sent data: {header['error']}")
        return None

    def answer(self, rank: int, deadline: float, doing: str) -> dict[str, Any]:
        """One party's answer, which has no buffers.

        Raises:
            ClusterError: it is dead, failed, or is late.
        """
        try:
            header, _ = recv_frame(self._sockets[rank], max(deadline, time.monotonic() + 0.1))
        except TimeoutError:
            raise self._late(doing, f"no answer from P{rank}") from None
        except (WireError, OSError) as error:
            raise self._death(rank, f"was {doing}", error) from None
        if "error" in header:
            raise ClusterError(f"party P{rank} failed while {doing}: {header['error']}")
        return header

    def _late(self, doing: str, what: str) -> ClusterError:
        return ClusterError(
            f"{doing} took longer than the time-out of {self._timeout:g} s ({what}); "
            "give the cluster a larger timeout"
        )

    def send_all(self, header: dict[str, Any], buffers: Sequence[Any] = ()) -> None:
        """Sends a command to every party."""
        for rank in range(PARTIES):
            self.send(rank, header, buffers)

    def answers(
        self,
        deadline: float,
        doing: str,
        on_progress: Callable[[Sequence[int]], None] | None = None,
    ) -> list[Answer]:
        """One answer per party; a death or an error of one ends the wait for all.

        Args:
            deadline: on the monotonic clock.
            doing: what they are doing, for errors.
            on_progress: called with the step that each party has done.

        Raises:
            ClusterError: a party is dead, failed, or is late.
        """
        answers: dict[int, Answer] = {}
        steps = [-1] * PARTIES
        with selectors.DefaultSelector() as selector:
            for rank, sock in enumerate(self._sockets):
                selector.register(sock, selectors.EVENT_READ, rank)
            if self._relay is not None:
                selector.register(self._relay.output, selectors.EVENT_READ, None)
            while len(answers) < PARTIES:
                left = deadline - time.monotonic()
                ready = selector.select(max(left, 0)) if left > 0 else []
                if not ready:
                    late = ", ".join(f"P{rank}" for rank in range(PARTIES) if rank not in answers)
                    raise self._late(doing, f"no answer from {late}")
                # Without the relay the parties fail as well, but they cannot know why.
                if self._relay is not None and self._relay.process.poll() is not None:
                    raise ClusterError(f"{self._relay.epitaph()} while {doing}")
                for key, _ in ready:
                    rank = key.data
                    if rank is None:
                        continue
                    sock = self._sockets[rank]
                    for header, buffers in self._frames(rank, deadline, doing):
                        if "progress" in header:
                            steps[rank] = header["progress"]
                            if on_progress is not None:
                                on_progress(steps)
                        elif "error" in header:
                            raise ClusterError(f"party P{rank} failed while {doing}: {header['error']}")
                        else:
                            answers[rank] = (header, buffers)
                            selector.unregister(sock)
        return [answers[rank] for rank in range(PARTIES)]

    def _frames(self, rank: int, deadline: float, doing: str) -> Iterator[Answer]:
        """A frame of a party that has sent something, and those that came along with it."""
        sock = self._sockets[rank]
        while True:
            try:
                frame = recv_frame(sock, deadline)
            except TimeoutError:
                # `answers` sees that, too.
                return
            except (WireError, OSError) as error:
                raise self._death(rank, f"was {doing}", error) from None
            yield frame
            # What TLS has already decrypted, no selector knows of.
            if not isinstance(sock, ssl.SSLSocket) or not sock.pending():
                return


class LocalParties(Parties):
    """Three party processes on this machine.

    Args:
        timeout: seconds until they must be up; also SPU's receive time-out.
        network: what lies between them; None for the sockets as they are.

    Raises:
        ClusterError: a party did not come up.
        RuntimeFolderError: there is no place for their sockets.
    """

    def __init__(self, timeout: float, network: Network | None) -> None:
        super().__init__(timeout)
        self._folder = RuntimeFolder()
        self._processes: list[PartyProcess] = []
        deadline = self._deadline
        try:
            folder = self._folder.path
            direct = [f"{UNIX}{folder}/p{rank}.sock" for rank in range(PARTIES)]
            addresses = [direct] * PARTIES
            if network is not None:
                self._relay = Relay(network, direct)
                addresses = [self._relay.addresses(rank) for rank in range(PARTIES)]
            for rank in range(PARTIES):
                self._processes.append(spawn_party(rank, folder))
            self._sockets = [party.sock for party in self._processes]
            # Links connect at once when all try at the same time, otherwise after seconds.
            self.answers(deadline, "starting")
            for rank in range(PARTIES):
                self.send(rank, self._connect_command(rank, addresses[rank], network))
            self.answers(deadline, "starting")
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise ClusterError(f"cannot start the parties: {error}") from None
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
        self._folder.close()

    def _death(self, rank: int, doing: str, error: Exception | None = None) -> ClusterError:
        party = self._processes[rank]
        try:
            status = party.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return ClusterError(f"party P{rank} closed its connection while it {doing}")
        return ClusterError(
            f"party P{rank} died {cause_of_death(status)} while it {doing}{party.last_words()}"
        )
