"""Frames between a caller and a party: a JSON header and raw buffers, nothing executable.

A frame is a little-endian u32 header length, the header, and then the buffers back to back; the
header's `sizes` gives their lengths in bytes.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from typing import Any

from ditto_compiler.errors import DittoError

_LENGTH = struct.Struct("<I")


class WireError(DittoError):
    """The other side closed the connection, or sent something that is not a frame."""


def send_frame(sock: socket.socket, header: dict[str, Any], buffers: Sequence[Any] = ()) -> None:
    """Sends a header and contiguous buffers (bytes or arrays).

    Raises:
        OSError: the other side is gone.
    """
    # An empty array cannot be cast to bytes.
    views = [
        memoryview(buffer).cast("B") if memoryview(buffer).nbytes else memoryview(b"") for buffer in buffers
    ]
    sock.sendall(pack_header(header, [len(view) for view in views]))
    for view in views:
        sock.sendall(view)


def pack_header(header: dict[str, Any], sizes: Sequence[int] = ()) -> bytes:
    """A frame without its buffers, of which `sizes` are the bytes."""
    text = json.dumps({**header, "sizes": list(sizes)}).encode()
    return _LENGTH.pack(len(text)) + text


def recv_frame(sock: socket.socket) -> tuple[dict[str, Any], list[bytearray]]:
    """Receives one frame.

    Raises:
        WireError: the connection ended, or what came is not a frame.
        TimeoutError: the socket's time-out passed.
    """
    (length,) = _LENGTH.unpack(_recv_exactly(sock, _LENGTH.size))
    try:
        header: dict[str, Any] = json.loads(_recv_exactly(sock, length))
        sizes = [int(size) for size in header.pop("sizes")]
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise WireError(f"received something that is not a frame: {error}") from None
    return header, [_recv_exactly(sock, size) for size in sizes]


def _recv_exactly(sock: socket.socket, size: int) -> bytearray:
    buffer = bytearray(size)
    view = memoryview(buffer)
    got = 0
    while got < size:
        count = sock.recv_into(view[got:])
        if count == 0:
            raise WireError("the connection was closed")
        got += count
    return buffer
