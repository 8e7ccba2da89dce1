"""Parties on hosts of their own: three `ditto party` on loopback, which differ in nothing but the address."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test.support.certificates import Authority
from test.support.ports import free_ports
from test.support.processes import child_environment

import ditto
from ditto.runtime.transport.hosts import Address, load_hosts
from ditto_compiler.cost.model import estimate
from ditto_compiler.network import PARTIES, load_network

X = np.float32([[0.5, -1.0], [2.0, 0.25]])
PROGRAM = ditto.compile(lambda x: jax.nn.softmax(x @ x), X)
EXPECTED = np.asarray(jax.nn.softmax(X @ X))


def hosts_text(ports):
    lines = [
        f'  {{ address = "127.0.0.1:{ports[2 * rank]}", link = "127.0.0.1:{ports[2 * rank + 1]}" }},'
        for rank in range(PARTIES)
    ]
    rest = 'ca = "ca.pem"\ncertificate = "host.pem"\nkey = "host.key"\n'
    return "parties = [\n" + "\n".join(lines) + "\n]\n" + rest


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


class Servers:
    """Three `ditto party`, each in a folder of its own, and a folder for the caller."""

    def __init__(self, folder):
        self.folder = folder
        authority = Authority(folder / "authority")
        text = hosts_text(free_ports(2 * PARTIES))
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        environment = child_environment(TMPDIR=str(self.temporary))
        self.processes = []
        for name in ("caller", *range(PARTIES)):
            own = folder / str(name)
            own.mkdir()
            (own / "hosts.toml").write_text(text)
            authority.issue(own)
            if name != "caller":
                command = [sys.executable, "-m", "ditto_tools", "party", str(own / "hosts.toml")]
                self.processes.append(
                    subprocess.Popen(
                        [*command, "--rank", str(name)], env=environment, stderr=subprocess.PIPE, text=True
                    )
                )
        for rank, process in enumerate(self.processes):
            assert process.stderr.readline().startswith(f"party P{rank} waits for a caller at 127.0.0.1:")

    @property
    def hosts(self):
        return self.folder / "caller" / "hosts.toml"

    def sessions(self):
        """Process ids of the parties that serve a caller."""
        return [pid for process in self.processes for pid in children(process.pid)]


class OneServer:
    """`ditto party` 0, in a folder, and callers of it."""

    def __init__(self, folder):
        Authority(folder / "authority").issue(folder)
        (folder / "hosts.toml").write_text(hosts_text(free_ports(2 * PARTIES)))
        self.hosts = load_hosts(folder / "hosts.toml")
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        command = [sys.executable, "-m", "ditto_tools", "party", str(folder / "hosts.toml"), "--rank", "0"]
        environment = child_environment(TMPDIR=str(self.temporary))
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def waits(self):
        """Waits until it does."""
        assert self.process.stderr.readline().startswith("party P0 waits for a caller at 127.0.0.1:")

    def connect(self):
        address = self.hosts.addresses[0]
        return socket.create_connection((address.host, address.port), timeout=20)

    def call(self):
        """Connects as a caller does."""
        sock = self.connect()
        return self.hosts.tls(server=False).wrap_socket(sock, server_hostname=self.hosts.addresses[0].host)


def is_waiting(_):
    return []


def is_shaking_hands(server):
    sock = server.connect()
    sock.sendall(b"\x16\x03\x01")
    return [sock]


def starts_a_session(server):
    return [server.call()]


def serves_a_caller(server):
    caller = server.call()
    wait_until(lambda: children(server.process.pid))
    return [caller]


def makes_others_wait(server):
    callers = [server.call() for _ in range(3)]
    wait_until(lambda: children(server.process.pid))
    return callers


@pytest.mark.parametrize(
    ("moment", "number"),
    [
        (is_waiting, signal.SIGINT),
        (is_shaking_hands, signal.SIGTERM),
        (starts_a_session, signal.SIGTERM),
        (serves_a_caller, signal.SIGINT),
        (makes_others_wait, signal.SIGTERM),
    ],
)
def test_a_signal_ends_it_at_any_moment(tmp_path, moment, number):
    server = OneServer(tmp_path)
    server.waits()
    callers = moment(server)
    sessions = children(server.process.pid)
    server.process.send_signal(number)
    said = server.process.communicate(timeout=60)[1]
    assert server.process.returncode == 0
    # Who was served, and nothing else.
    assert [line for line in said.splitlines() if "127.0.0.1" not in line] == []
    assert not any(os.path.exists(f"/proc/{pid}") for pid in sessions)
    assert list(server.temporary.iterdir()) == []
    for caller in callers:
        caller.close()


def test_a_signal_ends_it_while_it_loads(tmp_path):
    server = OneServer(tmp_path)
    wait_until(lambda: "jaxlib" in Path(f"/proc/{server.process.pid}/maps").read_text())
    server.process.send_signal(signal.SIGINT)
    assert server.process.communicate(timeout=60)[1] in ("", "Aborted!\n")
    assert server.process.returncode != 0


def test_a_party_that_cannot_start_a_process_says_so(tmp_path):
    server = OneServer(tmp_path)
    server.waits()
    for answer in (b"ok", b"it cannot start a party process: [Errno 2]", b"ok"):
        with server.call() as caller:
            assert answer in caller.recv(1000)
        wait_until(lambda: not children(server.process.pid))
        if server.temporary.exists():
            wait_until(lambda: not list(server.temporary.iterdir()))
            server.temporary.rmdir()
        else:
            server.temporary.mkdir()
    server.process.terminate()
    said = server.process.communicate(timeout=60)[1]
    assert said.count("cannot start a party process: [Errno 2]") == 1 and "Traceback" not in said


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    servers = Servers(tmp_path_factory.mktemp("hosts"))
    yield servers
    for process, number in zip(
        servers.processes, (signal.SIGINT, signal.SIGTERM, signal.SIGINT), strict=True
    ):
        process.send_signal(number)
    assert [process.wait(timeout=20) for process in servers.processes] == [0, 0, 0]
    assert list(servers.temporary.iterdir()) == []


def wait_until(condition, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_runs_as_locally_and_leaves_nothing_behind(servers, cluster):
    with ditto.RemoteCluster(servers.hosts) as remote:
        assert len(servers.sessions()) == PARTIES
        for _ in range(2):
            found = remote.run(PROGRAM, X)
            np.testing.assert_allclose(found, EXPECTED, atol=2**-5)
        there = remote.stats
        kept = remote.share(PROGRAM, 0, X)
        np.testing.assert_allclose(remote.run(PROGRAM, kept), EXPECTED, atol=2**-5)
    cluster.run(PROGRAM, X)
    assert (there.bytes, there.messages) == (cluster.stats.bytes, cluster.stats.messages)
    wait_until(lambda: not servers.sessions() and not list(servers.temporary.iterdir()))


def test_casts_choose_their_mode_by_the_network(servers):
    with ditto.RemoteCluster(servers.hosts, network="1gbit,100ms") as remote:
        np.testing.assert_allclose(remote.run(PROGRAM, X), EXPECTED, atol=2**-5)
        assert remote.stats.cast_bytes == estimated_casts(load_network("1gbit,100ms")) > estimated_casts(None)


def estimated_casts(network):
    casts = [op for op in estimate(PROGRAM, network=network).ops if not op.region and op.op != "compare"]
    return sum(op.cost.bytes for op in casts)


def test_the_command_line(servers, tmp_path):
    PROGRAM.save(tmp_path / "p.ditto")
    np.save(tmp_path / "x.npy", X)
    command = [sys.executable, "-m", "ditto_tools", "run", "p.ditto", "x.npy", "-o", "y.npz"]
    done = subprocess.run(
        [*command, "--hosts", str(servers.hosts)],
        cwd=tmp_path,
        env=child_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (found,) = np.load(tmp_path / "y.npz").values()
    np.testing.assert_allclose(found, EXPECTED, atol=2**-5)


def test_large_inputs_and_many_progress_reports(servers):
    """More than a TLS record, both ways; and frames that come along with others."""

    def f(x):
        for _ in range(20):
            x = jnp.tanh(x) @ jnp.full((2, 2), 0.5, np.float32)
        return x, x + 1

    x = np.linspace(-1, 1, 1 << 19, dtype=np.float32).reshape(-1, 2)
    program = ditto.compile(f, x[:4])
    steps = []
    with ditto.RemoteCluster(servers.hosts) as remote:
        remote.run(program, x[:4], progress=lambda done, total: steps.append((done, total)))
        identity = ditto.compile(lambda x: x + x, x, policy="uniform64")
        np.testing.assert_allclose(remote.run(identity, x), 2 * x, atol=2**-15)
    assert steps[-1] == (len(program.steps), len(program.steps))


def test_a_killed_party_is_noticed_and_the_next_run_works(servers):
    with ditto.RemoteCluster(servers.hosts, timeout=60) as remote:
        victim = children(servers.processes[1].pid)[0]
        os.kill(victim, signal.SIGKILL)
        with pytest.raises(ditto.ClusterError, match=r"party P\d at 127\.0\.0\.1:\d+ ended its connection"):
            remote.run(PROGRAM, X)
        np.testing.assert_allclose(remote.run(PROGRAM, X), EXPECTED, atol=2**-5)


def test_a_second_caller_is_turned_away(servers):
    with (
        ditto.RemoteCluster(servers.hosts),
        pytest.raises(ditto.ClusterError, match="P0 failed while starting: it serves another caller"),
    ):
        ditto.RemoteCluster(servers.hosts, timeout=30).start()


def test_strangers_are_not_let_in(servers, tmp_path):
    Authority(tmp_path / "authority").issue(tmp_path)
    (tmp_path / "hosts.toml").write_text(servers.hosts.read_text())
    with pytest.raises(ditto.ClusterError, match=r"no TLS with party P0 at .*certificate verify failed"):
        ditto.RemoteCluster(tmp_path / "hosts.toml", timeout=20).start()
    # One that trusts the parties, but is not trusted by them.
    (tmp_path / "ca.pem").write_bytes((servers.hosts.parent / "ca.pem").read_bytes())
    with pytest.raises(
        ditto.ClusterError, match=r"party P0 at .* ended its connection while it was starting"
    ):
        ditto.RemoteCluster(tmp_path / "hosts.toml", timeout=20).start()
    # One that does not speak TLS at all.
    address = load_hosts(servers.hosts).addresses[0]
    with socket.create_connection((address.host, address.port), timeout=10) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert b"ok" not in stranger.recv(100)
    assert not servers.sessions()
    with ditto.RemoteCluster(servers.hosts) as remote:
        np.testing.assert_allclose(remote.run(PROGRAM, X), EXPECTED, atol=2**-5)


def test_nobody_there(tmp_path):
    Authority(tmp_path / "authority").issue(tmp_path)
    (tmp_path / "hosts.toml").write_text(hosts_text(free_ports(2 * PARTIES)))
    with pytest.raises(ditto.ClusterError, match=r"cannot reach party P0 .*is `ditto party` running there\?"):
        ditto.RemoteCluster(tmp_path / "hosts.toml", timeout=10).start()


def test_a_party_that_does_not_answer(tmp_path):
    Authority(tmp_path / "authority").issue(tmp_path)
    ports = free_ports(2 * PARTIES)
    (tmp_path / "hosts.toml").write_text(hosts_text(ports))
    with (
        socket.create_server(("127.0.0.1", ports[0])),
        pytest.raises(ditto.ClusterError, match=r"no TLS with party P0 at .*timed out"),
    ):
        ditto.RemoteCluster(tmp_path / "hosts.toml", timeout=2).start()


GOOD = hosts_text([1, 2, 3, 4, 5, 6])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("parties = ", "cannot read hosts file"),
        (GOOD + "colour = 1\n", "the file has an unknown key 'colour'"),
        (
            GOOD.replace("certificate =", "certificat ="),
            "unknown key 'certificat'; did you mean 'certificate'",
        ),
        (GOOD.replace('key = "host.key"\n', ""), "the file has no 'key'"),
        (GOOD.replace('key = "host.key"', "key = 3"), "key must be the path of a PEM file, got 3"),
        ('parties = []\nca = ""\ncertificate = ""\nkey = ""\n', "parties must be a list of 3 tables"),
        (GOOD.replace("link", "lnk", 1), "party 0 has an unknown key 'lnk'; did you mean 'link'"),
        (GOOD.replace('"127.0.0.1:3"', "3"), "address of party 1 must be a string 'HOST:PORT', got 3"),
        (GOOD.replace("127.0.0.1:6", "127.0.0.1:70000"), "link of party 2 must be a string 'HOST:PORT'"),
        (GOOD.replace("127.0.0.1:6", ":6"), "link of party 2 must be a string 'HOST:PORT', got ':6'"),
        (GOOD.replace("127.0.0.1:6", "127.0.0.1:1"), "127.0.0.1:1 is given twice"),
    ],
)
def test_wrong_hosts_files(tmp_path, text, message):
    path = tmp_path / "hosts.toml"
    path.write_text(text)
    with pytest.raises(ditto.HostsError, match=message.replace("?", r"\?")) as error:
        ditto.RemoteCluster(path)
    assert str(path) in str(error.value)


def test_addresses_of_ipv6():
    assert str(Address("::1", 9000)) == "[::1]:9000"


def test_certificates_that_cannot_be_used(tmp_path):
    (tmp_path / "hosts.toml").write_text(GOOD)
    with pytest.raises(ditto.HostsError, match=r"cannot use certificate '.*host\.pem'"):
        ditto.RemoteCluster(tmp_path / "hosts.toml").start()


@pytest.mark.parametrize(
    ("rank", "message"), [("3", "there are parties 0 to 2, got 3"), ("0", "cannot listen at")]
)
def test_a_party_that_cannot_serve(tmp_path, rank, message):
    Authority(tmp_path / "authority").issue(tmp_path)
    # An address for documentation, which no machine has.
    (tmp_path / "hosts.toml").write_text(GOOD.replace("127.0.0.1:1", "192.0.2.1:1"))
    command = [sys.executable, "-m", "ditto_tools", "party", str(tmp_path / "hosts.toml"), "--rank", rank]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr
