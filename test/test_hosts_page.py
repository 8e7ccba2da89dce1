"""The page on hosts is true of the code: its files can be read, its commands exist, its limits are those."""

import re
import shlex
from pathlib import Path

import click
import numpy as np
import pytest

import ditto
from ditto.runtime.party import admission, listener, serve, session
from ditto.runtime.party.access import Access, load_access
from ditto.runtime.transport import wire
from ditto.runtime.transport.hosts import load_hosts
from ditto_compiler import program_file
from ditto_tools.cli import cli

PAGE = (Path(__file__).parents[1] / "docs" / "howto" / "hosts.md").read_text()
HOSTS, ACCESS = re.findall(r"^```toml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"(?:^    (?:\w+ \d? ?\$ )?|`)(ditto [a-z].*?)(?:  +#.*)?(?:$|`)", PAGE, re.MULTILINE)


def test_the_hosts_file(tmp_path):
    (tmp_path / "hosts.toml").write_text(HOSTS)
    hosts = load_hosts(tmp_path / "hosts.toml")
    assert hosts.names == ("party0.example", "party1.example", "party2.example")
    assert hosts.access == tmp_path / "access.toml"


def test_the_access_file(tmp_path):
    (tmp_path / "access.toml").write_text(ACCESS)
    (tmp_path / "store.key").write_bytes(bytes(32))
    (tmp_path / "store.key").chmod(0o600)
    access = load_access(tmp_path / "access.toml")
    default = Access()
    assert (access.sessions, access.idle_s, access.run_s) == (default.sessions, default.idle_s, default.run_s)
    assert (access.memory_bytes, access.results_bytes) == (default.memory_bytes, default.results_bytes)
    access.check_run(
        caller="clinic.example", digest="0" * 64, deposits=frozenset({"bert"}), receiver="clinic.example"
    )


@pytest.mark.parametrize("line", sorted(set(COMMANDS)))
def test_commands(line):
    """They are parsed, and not run."""
    _, name, *arguments = shlex.split(line)
    command = cli.commands[name]
    while isinstance(command, click.Group) and arguments:
        name, *arguments = arguments
        command = command.commands[name]
    if arguments:
        command.make_context(name, arguments)


def test_there_are_commands():
    assert len(COMMANDS) > 10


def test_what_parties_execute_does_not_depend_on_where_the_source_is():
    """So whoever compiles the same source gets the same digest."""
    digests = []
    for folder in ("/here", "/there"):
        names: dict = {}
        exec(compile("def model(w, x):\n    return x @ w + 1\n", f"{folder}/model.py", "exec"), names)
        w = np.ones((2, 2), np.float32)
        program = ditto.compile(names["model"], w, w, visibility=("secret:model", "secret:clinic"))
        assert folder in program.annotated and folder.encode() not in program.executable
        digests.append(program.digest)
    assert digests[0] == digests[1]


def test_limits():
    assert f"{admission.WAITING} of one caller, then it is turned away" in PAGE
    assert f"| connections of one caller | {serve._CONNECTIONS} |" in PAGE
    assert f"| connections that have not shown a certificate yet | {listener.HANDSHAKES} |" in PAGE
    assert listener.HANDSHAKE_S == serve._HELLO_S == 10
    assert wire.MAX_HEADER == 1 << 20 and "| one message's header | 1 MiB |" in PAGE
    assert f"and {session._ARRAYS:,} of them".replace(",", " ") in PAGE
    assert program_file.FILE_BYTES == 64 << 20
    unpacked, members = program_file.INFLATED_BYTES >> 20, f"{program_file.MEMBERS:,}".replace(",", " ")
    assert f"| 64 MiB, {unpacked} MiB unpacked, {members} members |" in PAGE
    assert f"cut off at {wire._LINE}" in PAGE
