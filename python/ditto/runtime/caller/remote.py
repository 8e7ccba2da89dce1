"""A caller's connections to parties on hosts of their own."""

from __future__ import annotations

import contextlib
import secrets
import socket
import ssl
import time

from ditto.runtime.caller.parties import ClusterError, Parties
from ditto.runtime.transport.hosts import Hosts
from ditto.runtime.transport.identity import IdentityError, check_peer
from ditto.runtime.transport.keepalive import keep_alive
from ditto.runtime.transport.wire import VERSION
from ditto_compiler.network import PARTIES, Network


class RemoteParties(Parties):
    """Three parties that `ditto party` runs elsewhere, over TLS.

    Args:
        hosts: where they are, and the caller's certificate.
        timeout: seconds until all are connected; also SPU's receive time-out.
        network: what lies between them, as far as the caller knows.

    Raises:
        ClusterError: a party cannot be reached, is not who it should be, or does not serve this caller.
        HostsError: the certificates cannot be used.
    """

    def __init__(self, hosts: Hosts, timeout: float, network: Network | None) -> None:
        super().__init__(timeout)
        self._hosts = hosts
        deadline = time.monotonic() + timeout
        tls = hosts.tls(server=False)
        # Parties join what has one number; who does not know it cannot get between.
        session = secrets.token_hex(16)
        try:
            # In the order of ranks, and each before the next: so no two callers wait for each other.
            for rank in range(PARTIES):
                self._sockets.append(reach(hosts, rank, tls, deadline))
                self._say_hello(rank, session, deadline)
            self.answers(deadline, "starting")
            for rank in range(PARTIES):
                # The parties know their addresses themselves.
                self.send(rank, self._connect_command(rank, [], network))
            self.answers(deadline, "connecting to the others")
        except BaseException:
            self.close()
            raise

    def _say_hello(self, rank: int, session: str, deadline: float) -> None:
        hello = {"command": "hello", "version": VERSION, "rank": rank, "session": session}
        self.send(rank, hello)
        answer = self.answer(rank, deadline, "waiting for its turn")
        if not answer.get("admitted"):
            raise ClusterError(f"party P{rank} at {self._hosts.addresses[rank]} speaks another protocol")

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


def reach(hosts: Hosts, rank: int, tls: ssl.SSLContext, deadline: float) -> ssl.SSLSocket:
    """A connection to a party that has shown who it is.

    Raises:
        ClusterError: it cannot be reached, or is somebody else.
    """
    address = hosts.addresses[rank]
    try:
        plain = socket.create_connection(
            (address.host, address.port), timeout=max(deadline - time.monotonic(), 0.1)
        )
    except OSError as error:
        raise ClusterError(
            f"cannot reach party P{rank} at {address}: {error}; is `ditto party` running there?"
        ) from None
    with contextlib.ExitStack() as undo:
        undo.callback(plain.close)
        try:
            keep_alive(plain)
            secure = undo.enter_context(tls.wrap_socket(plain))
            check_peer(secure, hosts.names[rank])
        except (OSError, IdentityError) as error:
            raise ClusterError(f"no TLS with party P{rank} at {address}: {error}") from None
        undo.pop_all()
    return secure
