"""Slower networks on one machine: bandwidth limits and delays between local parties, in user space.

The model is three hosts behind a switch. Each host has one uplink of `Network.bandwidth_bits_per_s`, shared
by all it sends to the two others, as `tc tbf` on its interface would limit it; downlinks are not limited.
Whatever has left the uplink arrives half a round-trip time later. An uplink transmits without bursts, and
connections keep their order. Nothing is lost, and there is no TCP slow start: the real TCP connections
end at the relay.

`ditto-relay`, a process without privileges, does it: parties are told its ports in place of each other's.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
from collections.abc import Sequence
from typing import IO

from ditto.runtime.transport.installation import installed_file
from ditto_compiler.network import Network

LOOPBACK = "127.0.0.1"


class Relay:
    """A running `ditto-relay` between hosts 0, 1, ... that listen on `ports` of loopback.

    Attributes:
        process: the relay.
        output: of the relay, which says nothing until it dies: readable means dead.

    Raises:
        InstallationError: from the constructor, when the relay was not built.
    """

    def __init__(self, network: Network, ports: Sequence[int]) -> None:
        program = installed_file("ditto-relay")
        self._ports = tuple(ports)
        self._entrances: dict[tuple[int, int], int] = {}
        routes = []
        with contextlib.ExitStack() as listeners:
            for source, target in itertools.permutations(range(len(ports)), 2):
                listener = listeners.enter_context(socket.create_server((LOOPBACK, 0)))
                self._entrances[source, target] = listener.getsockname()[1]
                routes.append((listener.fileno(), f"{source}:{target}:{ports[target]}"))
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
            )
        assert self.process.stdout is not None
        self.output: IO[bytes] = self.process.stdout

    def addresses(self, host: int) -> list[str]:
        """Where `host` finds each host: itself as it is, the others through the relay."""
        return [
            f"{LOOPBACK}:{port if target == host else self._entrances[host, target]}"
            for target, port in enumerate(self._ports)
        ]

    def epitaph(self) -> str:
        """What a dead relay died of."""
        output, _ = self.process.communicate()
        status = self.process.returncode
        cause = f"by signal {-status}" if status < 0 else f"with exit code {status}"
        said = f"; it last said: {output.decode(errors='replace').strip()}" if output else ""
        return f"the relay that imitates the network died {cause}{said}"

    def close(self) -> None:
        """Ends the relay, and with it all connections through it."""
        self.process.kill()
        self.process.communicate()
