"""Slower networks on one machine: bandwidth limits and delays between local parties, in user space.

The model is three hosts behind a switch. Each host has one uplink of `Network.bandwidth_bits_per_s`, shared
by all it sends to the two others, as `tc tbf` on its interface would limit it; downlinks are not limited.
Whatever has left the uplink arrives half a round-trip time later. An uplink transmits without bursts, and
connections keep their order. Nothing is lost, and there is no TCP slow start: the real connections end at
the relay.

`ditto-relay`, a process without privileges, does it: parties are told its addresses in place of each
other's. For tests it can also make the network fail.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from ditto.runtime.transport.installation import installed_file
from ditto.runtime.transport.ports import LOOPBACK
from ditto_compiler.errors import InternalError
from ditto_compiler.network import Network
from ditto_compiler.processes import cause_of_death

UNIX = "unix:"
"""Before the path of a Unix socket, in the addresses that the engine takes."""


class Relay:
    """A running `ditto-relay` between hosts 0, 1, ... that listen at `addresses`.

    Args:
        network: what it imitates.
        addresses: `127.0.0.1:PORT` or `unix:PATH` of each host. The relay listens likewise: on ports of its
            own, or on sockets beside `PATH`, which whoever made that folder removes.

    Attributes:
        process: the relay.
        output: of the relay, which says nothing unasked until it dies.

    Raises:
        InstallationError: from the constructor, when the relay was not built.
    """

    def __init__(self, network: Network, addresses: Sequence[str]) -> None:
        program = installed_file("ditto-relay")
        self._addresses = tuple(addresses)
        self._entrances: dict[tuple[int, int], str] = {}
        routes = []
        with contextlib.ExitStack() as listeners:
            for source, target in itertools.permutations(range(len(addresses)), 2):
                listener, entrance = self._entrance(source, target, addresses[target])
                listeners.enter_context(listener)
                self._entrances[source, target] = entrance
                goal = addresses[target].removeprefix(UNIX).removeprefix(f"{LOOPBACK}:")
                routes.append((listener.fileno(), f"{source}:{target}:{goal}"))
            self.process = subprocess.Popen(
                [
                    program,
                    str(network.bandwidth_bits_per_s),
                    str(network.rtt_s / 2),
                    *(f"{descriptor}:{route}" for descriptor, route in routes),
                ],
                pass_fds=[descriptor for descriptor, _ in routes],
                # The relay ends with its standard input, that is, with this process at the latest.
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                # An interrupt from the terminal is for this process, which then ends the relay.
                process_group=0,
            )
        assert self.process.stdout is not None
        self.output: IO[bytes] = self.process.stdout

    def _entrance(self, source: int, target: int, goal: str) -> tuple[socket.socket, str]:
        """What listens for connections of host `source` to host `target` at `goal`, and its address."""
        if goal.startswith(UNIX):
            path = Path(goal.removeprefix(UNIX))
            path = path.with_name(f"from{source}-{path.name}")
            listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(path))
            listener.listen()
            return listener, f"{UNIX}{path}"
        listener = socket.create_server((LOOPBACK, 0))
        return listener, f"{LOOPBACK}:{listener.getsockname()[1]}"

    def addresses(self, host: int) -> list[str]:
        """Where `host` finds each host: itself as it is, the others through the relay."""
        return [
            address if target == host else self._entrances[host, target]
            for target, address in enumerate(self._addresses)
        ]

    def hold(self, source: int, target: int) -> None:
        """Silence, one way: connections stay, but nothing that `source` sends reaches `target`.

        It waits in the relay, and when its queue is full (about 4 MB) at the sender's.
        """
        self._command(f"hold {source} {target}")

    def cut(self, a: int, b: int) -> None:
        """Resets all connections between two hosts, without what is on its way; new ones end at once."""
        self._command(f"cut {a} {b}")

    def restore(self) -> None:
        """Ends all faults: what was held is delivered, and new connections are made."""
        self._command("restore")

    def _command(self, command: str) -> None:
        """Has the relay obey, from when this returns.

        Raises:
            InternalError: it is dead.
        """
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(f"{command}\n".encode())
            self.process.stdin.flush()
        if self.output.readline() != b"ok\n":
            raise InternalError(f"the relay did not obey '{command}': {self.epitaph()}")

    def epitaph(self) -> str:
        """What a dead relay died of."""
        output, _ = self.process.communicate()
        cause = cause_of_death(self.process.returncode)
        said = f"; it last said: {output.decode(errors='replace').strip()}" if output else ""
        return f"the relay that imitates the network died {cause}{said}"

    def close(self) -> None:
        """Ends the relay, and with it all connections through it."""
        self.process.kill()
        self.process.communicate()
