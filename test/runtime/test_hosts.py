"""Parties on hosts of their own: three `ditto party` on loopback, which differ in nothing but the address."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from test.support.certificates import Authority
from test.support.processes import child_environment
from test.support.servers import ANY, NAMES, Servers, children, hosts_text, wait_until

import ditto
from ditto.runtime.transport.hosts import Address, load_hosts
from ditto.runtime.transport.ports import free_ports
from ditto.runtime.transport.wire import VERSION, recv_frame, send_frame
from ditto_compiler.cost.model import estimate
from ditto_compiler.network import PARTIES, load_network

X = np.float32([[0.5, -1.0], [2.0, 0.25]])
PROGRAM = ditto.compile(lambda x: jax.nn.softmax(x @ x), X)
EXPECTED = np.asarray(jax.nn.softmax(X @ X))


class OneServer:
    """`ditto party` 0, in a folder, and callers of it."""

    def __init__(self, folder):
        authority = Authority(folder / "authority")
        text = hosts_text(free_ports(2 * PARTIES))
        for own, name in ((folder / "party", NAMES[0]), (folder / "caller", "caller.test")):
            own.mkdir()
            authority.issue(own, name)
            (own / "hosts.toml").write_text(text)
        (folder / "party" / "access.toml").write_text(ANY.format(caller="caller.test"))
        self.hosts = load_hosts(folder / "caller" / "hosts.toml")
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        hosts = str(folder / "party" / "hosts.toml")
        command = [sys.executable, "-m", "ditto_tools", "party", hosts, "--rank", "0"]
        environment = child_environment(TMPDIR=str(self.temporary))
        self.process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)

    def waits(self):
        """Waits until it does."""
        assert "Z party P0 waits for callers at 127.0.0.1:" in self.process.stderr.readline()

    def connect(self):
        address = self.hosts.addresses[0]
        return socket.create_connection((address.host, address.port), timeout=20)

    def call(self, number=1):
        """Connects as a caller does, and asks for a session."""
        sock = self.hosts.tls(server=False).wrap_socket(self.connect())
        hello = {"command": "hello", "version": VERSION, "rank": 0, "session": f"{number:032x}"}
        send_frame(sock, hello)
        return sock


@pytest.fixture
def server(tmp_path_factory):
    """Not in `tmp_path`, whose name is too long for sockets in it."""
    server = OneServer(tmp_path_factory.mktemp("one"))
    yield server
    server.process.kill()
    server.process.communicate()


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
    assert recv_frame(caller)[0] == {"admitted": True}
    wait_until(lambda: children(server.process.pid))
    return [caller]


def makes_others_wait(server):
    callers = [server.call(number) for number in range(5)]
    wait_until(lambda: len(children(server.process.pid)) == 2)
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
def test_a_signal_ends_it_at_any_moment(server, moment, number):
    server.waits()
    callers = moment(server)
    sessions = children(server.process.pid)
    server.process.send_signal(number)
    # Two seconds on a machine that is doing nothing else.
    said = server.process.communicate(timeout=10)[1]
    assert server.process.returncode == 0
    # Who was served, and nothing else.
    assert [line for line in said.splitlines() if "Z caller.test, session " not in line] == []
    assert not any(os.path.exists(f"/proc/{pid}") for pid in sessions)
    assert list(server.temporary.iterdir()) == []
    for caller in callers:
        caller.close()


def test_a_signal_ends_it_while_it_loads(server):
    wait_until(lambda: "cryptography" in Path(f"/proc/{server.process.pid}/maps").read_text())
    server.process.send_signal(signal.SIGINT)
    said = server.process.communicate(timeout=60)[1]
    # If it had been ready already, that is a good end, too.
    assert said in ("", "Aborted!\n") or ("party P0 waits" in said and len(said.splitlines()) == 1)


def test_a_party_that_cannot_start_a_process_says_so(server):
    server.waits()
    (folder,) = server.temporary.iterdir()
    with server.call() as caller:
        assert recv_frame(caller)[0] == {"admitted": True} and recv_frame(caller)[0] == {"ok": True}
    wait_until(lambda: not children(server.process.pid))
    shutil.rmtree(folder)
    with server.call() as caller:
        assert "it cannot start a party process: [Errno 2]" in recv_frame(caller)[0]["error"]
    folder.mkdir(0o700)
    with server.call() as caller:
        assert recv_frame(caller)[0] == {"admitted": True} and recv_frame(caller)[0] == {"ok": True}
    server.process.terminate()
    said = server.process.communicate(timeout=60)[1]
    assert said.count("cannot start a party process: [Errno 2]") == 1 and "Traceback" not in said


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    servers = Servers(tmp_path_factory.mktemp("hosts"))
    yield servers
    assert servers.close(signal.SIGINT) == [0, 0, 0]
    assert list(servers.temporary.iterdir()) == []
    assert not any("Traceback" in servers.log(rank) for rank in range(PARTIES))


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
    wait_until(lambda: not servers.sessions() and not servers.left())


def test_casts_choose_their_mode_by_the_network(servers):
    program = ditto.compile(lambda x: jax.nn.softmax(x @ x), X, policy="ditto-engine")

    def estimated(network):
        casts = [op for op in estimate(program, network=network).ops if not op.region and op.op != "compare"]
        return sum(op.cost.bytes for op in casts)

    with ditto.RemoteCluster(servers.hosts, network="1gbit,100ms") as remote:
        np.testing.assert_allclose(remote.run(program, X), EXPECTED, atol=2**-5)
        assert remote.stats.cast_bytes == estimated(load_network("1gbit,100ms")) > estimated(None)


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
        with pytest.raises(
            ditto.ClusterError,
            match=r"P1 failed while .*: its process died by signal 9|its link to party P1 broke",
        ):
            remote.run(PROGRAM, X)
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
        (
            GOOD.replace("p2.test", "P0.test"),
            "parties 0 and 2 both have the name 'p0.test', so one could pose",
        ),
        (
            GOOD.replace(', name = "p1.test"', "").replace(', name = "p2.test"', ""),
            "have the name '127.0.0.1'",
        ),
        (GOOD.replace('"p1.test"', "1"), "name of party 1 must be a name in its certificate, got 1"),
        (GOOD.replace("p1.test", "*.test"), "name of party 1 must be a name in its certificate"),
        (GOOD.replace('"access.toml"', "7"), "access must be the path of a"),
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


def test_a_key_with_a_password_is_not_asked_for_it(tmp_path):
    Authority(tmp_path / "authority").issue(tmp_path)
    (tmp_path / "hosts.toml").write_text(GOOD)
    path = tmp_path / "host.key"
    key = serialization.load_pem_private_key(path.read_bytes(), None)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ditto.HostsError, match="the key is encrypted"):
        ditto.RemoteCluster(tmp_path / "hosts.toml").start()


@pytest.mark.parametrize(
    ("rank", "hosts", "access", "message"),
    [
        ("3", GOOD, ANY, "there are parties 0 to 2, got 3"),
        # An address for documentation, which no machine has.
        ("0", GOOD.replace("127.0.0.1:1", "192.0.2.1:1"), ANY, "cannot listen at 192.0.2.1:1"),
        ("0", GOOD.replace('access = "access.toml"\n', ""), ANY, "has no 'access'"),
        ("0", GOOD, None, "cannot read access file"),
        ("0", GOOD, "session = 3\n", "unknown key 'session'; did you mean 'sessions'"),
    ],
)
def test_a_party_that_cannot_serve(tmp_path, rank, hosts, access, message):
    Authority(tmp_path / "authority").issue(tmp_path)
    (tmp_path / "hosts.toml").write_text(hosts)
    if access is not None:
        (tmp_path / "access.toml").write_text(access)
    command = [sys.executable, "-m", "ditto_tools", "party", str(tmp_path / "hosts.toml"), "--rank", rank]
    done = subprocess.run(command, env=child_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert message in done.stderr and "Traceback" not in done.stderr
