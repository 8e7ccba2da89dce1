"""Frames between a caller and a party: a JSON header and raw buffers, nothing executable.

A frame is a little-endian u32 header length, the header, and then the buffers back to back; the
header's `sizes` gives their lengths in bytes. Whoever reads a frame has checked every length before it
allocates anything, and allocates as data comes. docs/reference/wire.md is the reference.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import Sequence
from typing import Any

from ditto_compiler.errors import DittoError
from ditto_compiler.files import parse_json

VERSION = 2
"""Of what callers and parties say to each other."""

MAX_HEADER = 1 << 20
"""Bytes of a header."""

MAX_BUFFERS = 1 << 16
"""Buffers of a frame."""

MAX_BYTES = 1 << 40
"""Bytes of a frame's buffers together."""

MAX_PROGRAMS = 100
"""Programs that a caller may have loaded at a time."""

_LENGTH = struct.Struct("<I")
_LINE = 1000
_STEP = 64 << 20
"""Bytes that a reader allocates ahead of what has come."""


class WireError(DittoError):
    """The other side closed the connection, or sent something that is not a frame."""


class Closed(WireError):
    """The connection ended between two frames."""


def one_line(text: str) -> str:
    """A text that somebody else chose, for a log or a terminal: printable, on one line, not endless."""
    short = text if len(text) <= _LINE else f"{text[:_LINE]}..."
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in short)


def send_frame(
    sock: socket.socket, header: dict[str, Any], buffers: Sequence[Any] = (), deadline: float | None = None
) -> None:
    """Sends a header and contiguous buffers (bytes or arrays).

    Args:
        sock: where to.
        header: what is sent first.
        buffers: what follows.
        deadline: on the monotonic clock, by which the system must have taken all; None for the socket's
            time-out, anew for each buffer.

    Raises:
        OSError: the other side is gone.
        TimeoutError: the deadline or the socket's time-out passed.
    """
    # An empty array cannot be cast to bytes.
    views = [
        memoryview(buffer).cast("B") if memoryview(buffer).nbytes else memoryview(b"") for buffer in buffers
    ]
    for data in (memoryview(pack_header(header, [len(view) for view in views])), *views):
        if deadline is None:
            sock.sendall(data)
            continue
        while data:
            sock.settimeout(_left(deadline))
            data = data[sock.send(data) :]


def pack_header(header: dict[str, Any], sizes: Sequence[int] = ()) -> bytes:
    """A frame without its buffers, of which `sizes` are the bytes.

    Raises:
        WireError: nobody would take so long a header.
    """
    text = json.dumps({**header, "sizes": list(sizes)}).encode()
    if len(text) > MAX_HEADER:
        raise WireError(f"a frame would have a header of {len(text)} bytes; at most {MAX_HEADER} are taken")
    return _LENGTH.pack(len(text)) + text


def header_length(prefix: bytes | bytearray) -> int:
    """How many bytes of header follow the first four bytes of a frame.

    Raises:
        WireError: more than a header may have.
    """
    (length,) = _LENGTH.unpack(prefix)
    if not 0 < length <= MAX_HEADER:
        raise WireError(f"received something that is not a frame: a header of {length} bytes")
    return int(length)


def parse_header(text: bytes | bytearray) -> tuple[dict[str, Any], list[int]]:
    """A header, and the sizes of the buffers that follow it, in bytes.

    Raises:
        WireError: it is not a header, or its sizes are not within the limits.
    """
    try:
        header = parse_json(text)
        sizes = header.pop("sizes")
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise WireError(f"received something that is not a frame: {error}") from None
    if not isinstance(header, dict) or not isinstance(sizes, list) or len(sizes) > MAX_BUFFERS:
        raise WireError("received something that is not a frame: no list of sizes")
    if any(type(size) is not int or size < 0 for size in sizes) or sum(sizes) > MAX_BYTES:
        raise WireError("received something that is not a frame: impossible sizes of buffers")
    return header, sizes


def recv_frame(sock: socket.socket, deadline: float | None = None) -> tuple[dict[str, Any], list[bytearray]]:
    """Receives one frame.

    Args:
        sock: where from.
        deadline: on the monotonic clock, by which all of it must have come; None for the socket's time-out,
            which starts anew with everything that comes.

    Raises:
        WireError: the connection ended, or what came is not a frame.
        TimeoutError: the deadline or the socket's time-out passed.
    """
    length = header_length(_recv_exactly(sock, _LENGTH.size, deadline))
    header, sizes = parse_header(_recv_exactly(sock, length, deadline))
    return header, [_recv_exactly(sock, size, deadline) for size in sizes]


def _recv_exactly(sock: socket.socket, size: int, deadline: float | None) -> bytearray:
    buffer = bytearray(min(size, _STEP))
    got = 0
    while got < size:
        if got == len(buffer):
            buffer.extend(bytes(min(size - got, max(got, _STEP))))
        if deadline is not None:
            sock.settimeout(_left(deadline))
        with memoryview(buffer) as view:
            count = sock.recv_into(view[got:])
        if count == 0:
            raise WireError("the connection was closed")
        got += count
    return buffer


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


async def read_header(reader: asyncio.StreamReader) -> tuple[dict[str, Any], list[int]]:
    """The header of the next frame, and the sizes of the buffers that are to be read next.

    Raises:
        Closed: the connection ended before a frame began.
        WireError: it ended within a header, or what came is not a frame.
    """
    try:
        length = header_length(await reader.readexactly(_LENGTH.size))
        return parse_header(await reader.readexactly(length))
    except asyncio.IncompleteReadError as error:
        kind = WireError if error.partial else Closed
        raise kind("the connection was closed") from None
    except OSError as error:
        raise Closed(f"the connection was lost: {error}") from None
