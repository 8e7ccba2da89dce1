"""Noticing that the host at the other end of a connection is gone without a word."""

from __future__ import annotations

import socket

_OPTIONS = {"TCP_KEEPIDLE": 10, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 30_000}
"""Seconds of silence before asking, seconds between questions, questions; milliseconds for what was sent."""


def keep_alive(sock: socket.socket) -> None:
    """Lets the system end a TCP connection half a minute after the other host went; sends at once, too."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in _OPTIONS.items():
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
