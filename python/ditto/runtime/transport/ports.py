"""Ports of this machine's loopback."""

from __future__ import annotations

import contextlib
import secrets
import socket

LOOPBACK = "127.0.0.1"
_PORTS = range(10_240, 32_768)
"""Below those that Linux gives to connections, which may take one before who is told of it listens there."""


def free_ports(count: int) -> list[int]:
    """Ports that were free a moment ago."""
    ports: set[int] = set()
    while len(ports) < count:
        port = _PORTS.start + secrets.randbelow(len(_PORTS))
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind((LOOPBACK, port))
            ports.add(port)
    return list(ports)
