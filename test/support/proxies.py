"""Somebody between two machines, who reads and changes what passes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable


class Proxy:
    """Passes connections on to a port of loopback.

    Args:
        port: where to.
        own: port to listen on; 0 for any.

    Attributes:
        port: that it listens on.
        passed: what clients sent, by connection.
        change: what becomes of a client's data; told how much of it came before.
    """

    def __init__(self, port: int, own: int = 0) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", own))
        self.port = self._listener.getsockname()[1]
        self.passed: list[bytearray] = []
        self.change: Callable[[bytes, int], bytes] | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Takes no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self._target))
                except OSError:
                    client.close()
                    continue
                passed = bytearray()
                self.passed.append(passed)
                threading.Thread(target=self._pass, args=(client, server, passed), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, None), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, passed: bytearray | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if passed is not None:
                    before = len(passed)
                    passed += data
                    if self.change is not None:
                        data = self.change(data, before)
                target.sendall(data)
        for sock in (source, target):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
