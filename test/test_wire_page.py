"""docs/reference/wire.md is true of the code: its example, its commands, its limits."""

import json
import re
import socket
import struct
from pathlib import Path

import pytest

from ditto.runtime.party import admission, links, serve, session, tunnel
from ditto.runtime.transport import wire
from ditto_compiler import program_file

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "wire.md").read_text()
ROWS = re.findall(r"^\| `(\w+)` \|(.*?)\|(.*?)\|", PAGE, re.MULTILINE)


def test_the_example_is_the_frame_that_it_is_said_to_be():
    (said,) = re.findall(r'^`(\{"command": "input".*?\})`', PAGE, re.MULTILINE)
    lines = re.findall(r"^    ((?:[0-9a-f]{2} ){13,16})", PAGE, re.MULTILINE)
    frame = b"".join(map(bytes.fromhex, lines))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(frame)
        ours.close()
        header, (buffer,) = wire.recv_frame(theirs)
        assert theirs.recv(1) == b""
    expected = json.loads(said)
    assert expected.pop("sizes") == [len(buffer)]
    assert header == expected
    assert [word / 2**10 for word in struct.unpack("<2i", buffer)] == [1.0, -0.5]
    assert wire.pack_header(header, [8]) == frame[:-8]


def test_every_command_has_a_row():
    """And whether a buffer comes with it is as the server has it."""
    documented = {name: bool(buffer.strip()) for name, _, buffer in reversed(ROWS)}
    first = {"hello", "status", "session", "ping"}
    assert documented.keys() - first == session._COMMANDS.keys()
    for name, (_, buffers) in session._COMMANDS.items():
        assert documented[name] == bool(buffers), name


LIMITS = {
    "bytes of a header": ("1 to {}; on links {}", wire.MAX_HEADER, tunnel._LONGEST_HEADER),
    "buffers of a frame": ("{}; of a command as below; on links none", wire.MAX_BUFFERS),
    "bytes of all buffers of a frame": ("2^{}", wire.MAX_BYTES.bit_length() - 1),
    "characters of an error's text": ("{}", session._LONGEST_REASON),
    "programs": ("{} at a time, with {} MiB of what", wire.MAX_PROGRAMS, session._ABOUT >> 20),
    "arrays, as inputs or kept, and prepared runs": ("{}, and `memory_bytes`", session._ARRAYS),
    "waiting sessions of one caller": ("{}", admission.WAITING),
    "the process's answer to `connect` and `load`": ("{} s", int(session._PROCESS_S)),
}


@pytest.mark.parametrize("name", LIMITS)
def test_limits(name):
    (said,) = re.findall(rf"^\| {re.escape(name)} \| (.*) \|$", PAGE, re.MULTILINE)
    text, *values = LIMITS[name]
    assert said.startswith(text.format(*(f"{value:_}".replace("_", " ") for value in values)))


def test_other_numbers():
    assert f"now {wire.VERSION})" in PAGE
    assert f"within {serve._HELLO_S:g} seconds after the handshake" in PAGE
    assert f"no more than {serve._CONNECTIONS} connections of one caller" in PAGE
    assert f"a program file, {program_file.FILE_BYTES >> 20} MiB at most" in PAGE
    assert f"within {links.PATIENCE:g} seconds" in PAGE
    for direction in links._DIRECTIONS:
        assert f"`{direction}`" in PAGE
    assert links._PINGS == 10 and "ten times at most on one connection" in PAGE
    assert serve._LINKS_S == 10
