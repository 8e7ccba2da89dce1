"""Slower networks on one machine: bandwidth limits and delays between local parties, in user space.

The model is three hosts behind a switch. Each host has one uplink of `Network.bandwidth_bits_per_s` that
all it
sends to the two others shares, as `tc tbf` on its interface would limit it; downlinks are not limited.
Whatever has left the uplink arrives half a round-trip time later. An uplink transmits without bursts, and
connections keep their order. Nothing is lost, and there is no TCP slow start: the real TCP connections
end at the relay.

`ditto-relay`, a process without privileges, does it: each party is told the relay's ports in place of its
peers'.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, Final

from ditto.runtime.installation import installed_file
from ditto_compiler.errors import DittoError
from ditto_compiler.options import did_you_mean

LOOPBACK = "127.0.0.1"


class NetworkError(DittoError):
    """A network that cannot be read."""


@dataclass(frozen=True)
class Network:
    """What the parties are connected by.

    Attributes:
        name: shown in reports.
        bandwidth_bits_per_s: of each party's uplink, shared by its two peers.
        rtt_s: round-trip time between any two parties, in seconds.
    """

    name: str
    bandwidth_bits_per_s: float
    rtt_s: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.bandwidth_bits_per_s) and self.bandwidth_bits_per_s > 0):
            raise NetworkError(f"bandwidth must be a positive number, got {self.bandwidth_bits_per_s}")
        if not 0 <= self.rtt_s <= 10:
            raise NetworkError(f"round-trip time must be in [0 s, 10 s], got {self.rtt_s} s")

    @property
    def bandwidth_bytes_per_s(self) -> float:
        """Of each party's uplink."""
        return self.bandwidth_bits_per_s / 8


PRESETS: Final[Mapping[str, Network]] = MappingProxyType(
    {
        "lan": Network("lan", 5e9, 0.4e-3),
        "wan": Network("wan", 400e6, 40e-3),
    }
)
"""The networks that papers on private inference measure in."""

_BANDWIDTH_UNITS = {"gbit": 1e9, "mbit": 1e6, "kbit": 1e3, "bit": 1.0}
_TIME_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def load_network(text: str | Network) -> Network:
    """A preset by name, or a network from text such as `400mbit,40ms` (bandwidth, round-trip time).

    Raises:
        NetworkError: no such preset, or not of that form.
    """
    if isinstance(text, Network):
        return text
    if text in PRESETS:
        return PRESETS[text]
    bandwidth, comma, rtt = text.partition(",")
    if not comma:
        raise NetworkError(
            f"no network '{text}'{did_you_mean(text, PRESETS)} (presets: {', '.join(PRESETS)}; "
            "or BANDWIDTH,RTT such as 400mbit,40ms)"
        )
    return Network(
        text, _quantity(bandwidth, _BANDWIDTH_UNITS, "bandwidth"), _quantity(rtt, _TIME_UNITS, "RTT")
    )


def _quantity(text: str, units: Mapping[str, float], what: str) -> float:
    text = text.strip().lower()
    for unit, factor in units.items():
        if text.endswith(unit):
            try:
                return float(text.removesuffix(unit)) * factor
            except ValueError:
                break
    raise NetworkError(f"{what} must be a number with one of the units {', '.join(units)}, got '{text}'")


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
