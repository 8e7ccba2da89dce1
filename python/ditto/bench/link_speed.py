"""`ditto bench links`: what TLS between hosts costs, beside the same parties linked in the clear.

Both run the same programs through the same imitated network, in turns: three parties whose engines are
linked in the clear, and three `ditto party` on loopback, whose links are mutual TLS. One program is a layer
of a model, one sends much, one does nothing but wait. On one machine all servers share its processors.
"""

from __future__ import annotations

import contextlib
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import ditto
from ditto.bench.workloads import workload
from ditto.runtime.caller.cluster import Cluster, LocalCluster
from ditto.runtime.caller.remote_cluster import RemoteCluster
from ditto.runtime.transport.certificates import Authority
from ditto.runtime.transport.hosts import hosts_text
from ditto.runtime.transport.ports import LOOPBACK, free_ports
from ditto.runtime.transport.relay import Relay
from ditto.runtime.transport.runtime_folder import RuntimeFolder
from ditto_compiler.errors import DittoError
from ditto_compiler.network import PARTIES, Network, load_network
from ditto_compiler.processes import child_environment, python_command
from ditto_compiler.program import Program
from ditto_compiler.showing import format_bytes

_CALLER = "caller.bench"
_ACCESS = f'[[allow]]\nprograms = "any"\ncallers = ["{_CALLER}"]\n'


class BenchError(DittoError):
    """Parties that did not start."""


def programs(model: str, elements: int, chain: int) -> Iterator[tuple[str, Program, tuple[Any, ...]]]:
    """What is run, with its inputs: a layer of a model on 128 tokens under the policy `ditto`; products of
    `elements`; and `chain` comparisons, each of which waits for the one before.
    """
    layer = workload(model, 1, 128)
    yield f"{model}, 1 layer", ditto.compile(layer.function, *layer.shapes), layer.inputs(0)
    generator = np.random.default_rng(0)
    x, y = generator.uniform(-1, 1, (2, elements)).astype(np.float32)
    small = x[:8]

    def often(x: jnp.ndarray) -> jnp.ndarray:
        for _ in range(chain):
            x = jnp.where(x > 0, x - 0.5, x + 0.25)
        return x

    yield f"{elements} products", ditto.compile(lambda x, y: x * y, x, y, policy="uniform64"), (x, y)
    yield f"{chain} comparisons in a row", ditto.compile(often, small, policy="uniform64"), (small,)


@contextlib.contextmanager
def hosts(folder: Path, network: Network) -> Iterator[Path]:
    """Three `ditto party` on loopback with a network between; gives the hosts file of a caller.

    Raises:
        BenchError: one did not start.
    """
    authority = Authority.make(folder / "authority")
    ports = free_ports(2 * PARTIES)
    addresses, links = ports[:PARTIES], [f"{LOOPBACK}:{port}" for port in ports[PARTIES:]]
    with contextlib.ExitStack() as stack:
        relay = Relay(network, links)
        stack.callback(relay.close)
        for rank in range(PARTIES):
            own = folder / str(rank)
            _write_hosts(own, addresses, relay.addresses(rank))
            (own / "access.toml").write_text(_ACCESS)
            authority.issue(f"p{rank}.bench", own)
            process = subprocess.Popen(
                python_command("ditto_tools", "party", str(own / "hosts.toml"), "--rank", str(rank)),
                env=child_environment(),
                stderr=subprocess.PIPE,
                text=True,
                process_group=0,
            )
            stack.callback(process.communicate)
            stack.callback(process.terminate)
            assert process.stderr is not None
            if "waits for callers" not in (line := process.stderr.readline()):
                raise BenchError(f"party P{rank} did not start: {line.strip()}")
        _write_hosts(folder / "caller", addresses, links)
        authority.issue(_CALLER, folder / "caller")
        yield folder / "caller" / "hosts.toml"


def _write_hosts(folder: Path, addresses: list[int], links: list[str]) -> None:
    folder.mkdir()
    parties = [(f"{LOOPBACK}:{addresses[rank]}", links[rank], f"p{rank}.bench") for rank in range(PARTIES)]
    (folder / "hosts.toml").write_text(hosts_text(parties))


def main(model: str, elements: int, chain: int, network: str, rounds: int) -> None:
    """Prints the median of the pairs' ratios, and the medians of both."""
    console = Console()
    between = load_network(network)
    table = Table("program", "sent", "in the clear, s", "TLS, s", "ratio", box=SIMPLE_HEAD)
    with RuntimeFolder() as folder, hosts(folder.path, between) as file:
        clusters: list[Cluster] = [LocalCluster(network=between), RemoteCluster(file, network=between)]
        with contextlib.ExitStack() as stack:
            for cluster in clusters:
                stack.enter_context(cluster)
            for name, program, inputs in programs(model, elements, chain):
                seconds: list[list[float]] = [[], []]
                for number in range(rounds + 1):
                    for cluster, times in zip(clusters, seconds, strict=True):
                        cluster.run(program, *inputs)
                        assert cluster.stats is not None
                        # The first run makes the engine's runtimes.
                        if number:
                            times.append(cluster.stats.seconds)
                ratio = statistics.median(tls / clear for clear, tls in zip(*seconds, strict=True))
                medians = [f"{statistics.median(times):.3f}" for times in seconds]
                stats = clusters[0].stats
                assert stats is not None
                table.add_row(name, format_bytes(stats.bytes), *medians, f"{ratio:.2f}")
    console.print(f"Links in the clear and by TLS, {between}, median of {rounds} pairs of runs")
    console.print(table)
