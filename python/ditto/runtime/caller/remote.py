"""A caller's connections to parties on hosts of their own."""

from __future__ import annotations

import socket
import ssl
import time

from ditto.runtime.caller.parties import ClusterError, Parties
from ditto.runtime.transport.hosts import Hosts
from ditto_compiler.network import PARTIES, Network


class RemoteParties(Parties):
    """Three parties that `ditto party` runs elsewhere, over TLS.

    Args:
        hosts: where they are, and the caller's certificate.
        timeout: seconds until all are connected; also SPU's receive time-out.
        network: what lies between them, as far as the caller knows.

    Raises:
        ClusterError: a party cannot be reached, is not who it should be, or serves somebody else.
        HostsError: the certificates cannot be used.
    """

    def __init__(self, hosts: Hosts, timeout: float, network: Network | None) -> None:
        super().__init__(timeout)
        self._hosts = hosts
        deadline = time.monotonic() + timeout
        tls = hosts.tls(server=False)
        try:
            for rank in range(PARTIES):
                self._sockets.append(self._reach(rank, tls, deadline))
            # Links connect at once when all try at the same time, otherwise after seconds.
            self.answers(deadline, "starting")
            for rank in range(PARTIES):
                # The parties know their addresses themselves.
                self.send(rank, self._connect_command(rank, [], network))
            self.answers(deadline, "connecting to the others")
        except BaseException:
            self.close()
            raise

    def _reach(self, rank: int, tls: ssl.SSLContext, deadline: float) -> socket.socket:
        address = self._hosts.addresses[rank]
        try:
            plain = socket.create_connection(
                (address.host, address.port), timeout=max(deadline - time.monotonic(), 0.1)
            )
        except OSError as error:
            raise ClusterError(
                f"cannot reach party P{rank} at {address}: {error}; is `ditto party` running there?"
            ) from None
        # A host that is gone without a word shows in minutes; the time-out of a run usually comes first.
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return tls.wrap_socket(plain, server_hostname=address.host)
        except OSError as error:
            plain.close()
            raise ClusterError(f"no TLS with party P{rank} at {address}: {error}") from None

    def close(self) -> None:
        """Ends the connections; the parties drop all that they hold for this caller."""
        for sock in self._sockets:
            sock.close()
        self._sockets = []

    def _death(self, rank: int, doing: str, error: Exception | None = None) -> ClusterError:
        why = f": {error}" if error is not None else ""
        return ClusterError(
            f"party P{rank} at {self._hosts.addresses[rank]} ended its connection while it {doing}{why}"
        )
