"""The network between local parties: its text form, what the relay does to bytes and time, and how it ends.

Times are compared with the bounds that the model gives (nothing arrives earlier, nothing is faster), never
with how fast this machine is.
"""

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import ditto
from ditto.runtime.transport.ports import LOOPBACK
from ditto.runtime.transport.relay import Relay
from ditto_compiler.errors import InternalError
from ditto_compiler.network import PRESETS, Network, NetworkError, load_network

FAST = Network("fast", 1e12, 0.0)


class Hosts:
    """Hosts that listen behind a relay, on ports or on sockets in `folder`, and connections between them."""

    def __init__(self, network, count=3, folder=None):
        if folder is None:
            self.servers = [socket.create_server((LOOPBACK, 0)) for _ in range(count)]
            addresses = [f"{LOOPBACK}:{server.getsockname()[1]}" for server in self.servers]
        else:
            self.servers = [socket.socket(socket.AF_UNIX) for _ in range(count)]
            for number, server in enumerate(self.servers):
                server.bind(str(folder / f"p{number}.sock"))
                server.listen()
            addresses = [f"unix:{folder}/p{number}.sock" for number in range(count)]
        self.relay = Relay(network, addresses)
        self.opened = []

    def knock(self, source, target):
        """The near end of a connection that `source` makes."""
        address = self.relay.addresses(source)[target]
        if address.startswith("unix:"):
            near = socket.socket(socket.AF_UNIX)
            near.connect(address.removeprefix("unix:"))
        else:
            near = socket.create_connection((LOOPBACK, int(address.partition(":")[2])), timeout=30)
            near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        near.settimeout(30)
        self.opened.append(near)
        return near

    def connect(self, source, target):
        """Both ends of a connection that `source` makes."""
        near = self.knock(source, target)
        far, _ = self.servers[target].accept()
        far.settimeout(30)
        if far.family == socket.AF_INET:
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.opened.append(far)
        return near, far

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.relay.close()
        for sock in [*self.servers, *self.opened]:
            sock.close()


def receive(sock, size):
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(1 << 20)
        assert piece, "the connection ended"
        data += piece
    return bytes(data)


def exchange(pairs, size):
    """Seconds until each far end has got `size` bytes from its near end, all at once."""
    content = np.random.default_rng(0).bytes(size)
    results = {}

    def drain(index, far):
        results[index] = receive(far, size)

    threads = [threading.Thread(target=near.sendall, args=(content,)) for near, _ in pairs]
    threads += [threading.Thread(target=drain, args=(i, far)) for i, (_, far) in enumerate(pairs)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    elapsed = time.perf_counter() - start
    assert all(data == content for data in results.values())
    return elapsed


def is_running(process_id):
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_presets_are_those_of_papers():
    assert load_network("lan") == Network("lan", 5e9, 0.4e-3)
    assert load_network("wan") == Network("wan", 400e6, 40e-3)
    assert set(PRESETS) == {"lan", "wan"}


@pytest.mark.parametrize(
    ("text", "bandwidth", "rtt"),
    [
        ("400mbit,40ms", 400e6, 0.04),
        ("2.5Gbit, 300us", 2.5e9, 0.0003),
        ("9600bit,1s", 9600.0, 1.0),
        ("1gbit,0ms", 1e9, 0.0),
    ],
)
def test_network_is_read_from_text(text, bandwidth, rtt):
    network = load_network(text)
    assert (network.bandwidth_bits_per_s, network.rtt_s) == pytest.approx((bandwidth, rtt))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wam", "did you mean 'wan'"),
        ("400,40ms", "bandwidth must be a number with one of the units"),
        ("400mbit,40", "RTT must be a number with one of the units"),
        ("xmbit,40ms", "got 'xmbit'"),
        ("0mbit,40ms", "bandwidth must be a positive number"),
        ("400mbit,-1ms", "round-trip time must be in"),
    ],
)
def test_bad_network_says_what_is_wrong(text, message):
    with pytest.raises(NetworkError, match=message):
        load_network(text)


@pytest.fixture(params=["tcp", "unix"])
def hosts(request, tmp_path):
    with Hosts(FAST, folder=tmp_path if request.param == "unix" else None) as hosts:
        yield hosts


def test_bytes_arrive_unchanged_and_in_order(hosts):
    pairs = [hosts.connect(i, j) for i in range(3) for j in range(3) if i != j]
    exchange(pairs, 3_000_001)


def is_silent(sock):
    """Whether nothing comes for longer than the relay takes."""
    return not select.select([sock], [], [], 0.2)[0]


def test_one_way_can_be_silent(hosts):
    near, far = hosts.connect(0, 1)
    answering, asking = hosts.connect(1, 0)
    hosts.relay.hold(0, 1)
    near.sendall(b"kept")
    asking.sendall(b"this too")
    assert is_silent(far) and is_silent(answering)
    # The other way, and to others, all is well.
    far.sendall(b"hello")
    assert receive(near, 5) == b"hello"
    exchange([hosts.connect(0, 2), hosts.connect(1, 0), hosts.connect(1, 2)], 100_000)
    hosts.relay.restore()
    assert receive(far, 4) == b"kept"
    assert receive(answering, 8) == b"this too"
    exchange([(near, far), (far, near)], 1_000_000)


def test_silence_hides_that_a_connection_has_ended(hosts):
    near, far = hosts.connect(0, 1)
    hosts.relay.hold(0, 1)
    near.close()
    assert is_silent(far)
    hosts.relay.restore()
    assert far.recv(1) == b""


def test_silence_stops_a_sender_that_goes_on(hosts):
    near, far = hosts.connect(0, 1)
    hosts.relay.hold(0, 1)
    near.settimeout(0.5)
    with pytest.raises(TimeoutError):
        while True:
            near.sendall(bytes(1 << 20))
    hosts.relay.restore()
    assert len(receive(far, 1 << 20)) >= 1 << 20


def ends(sock):
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True


def test_two_hosts_can_be_cut_off(hosts):
    cut = [*hosts.connect(0, 1), *hosts.connect(1, 0)]
    kept = [hosts.connect(0, 2), hosts.connect(2, 1)]
    hosts.relay.cut(1, 0)
    assert all(map(ends, cut))
    for source, target in ((0, 1), (1, 0)):
        # The end may come before the connection is seen to be made.
        with contextlib.suppress(ConnectionResetError):
            assert ends(hosts.knock(source, target))
    exchange(kept, 100_000)
    hosts.relay.restore()
    exchange([*kept, hosts.connect(0, 1), hosts.connect(1, 0)], 100_000)


def test_a_cut_connection_is_reset():
    """Over TCP: neither side may take what it has got for all there was."""
    with Hosts(FAST) as hosts:
        ends = hosts.connect(0, 1)
        hosts.relay.cut(0, 1)
        for end in ends:
            with pytest.raises(ConnectionResetError):
                end.recv(1)


def test_faults_of_a_dead_relay_are_an_error():
    with Hosts(FAST) as hosts:
        hosts.relay.process.kill()
        with pytest.raises(InternalError, match=r"the relay did not obey 'hold 0 1': .* died by signal 9"):
            hosts.relay.hold(0, 1)


def test_round_trip_takes_at_least_the_setting():
    with Hosts(Network("slow", 1e9, 0.05)) as hosts:
        near, far = hosts.connect(0, 1)
        for _ in range(3):
            start = time.perf_counter()
            near.sendall(b"ping")
            far.sendall(receive(far, 4))
            receive(near, 4)
            assert time.perf_counter() - start >= 0.05


def test_messages_in_a_row_share_one_delay():
    """The delay is latency, not a limit on how many messages are on their way."""
    with Hosts(Network("slow", 1e9, 1.0)) as hosts:
        near, far = hosts.connect(0, 1)
        start = time.perf_counter()
        for _ in range(20):
            near.sendall(b"x")
            time.sleep(0.005)
        receive(far, 20)
        assert 0.5 <= time.perf_counter() - start < 20 * 0.5


def test_throughput_is_at_most_the_bandwidth():
    with Hosts(Network("thin", 40e6, 0.0)) as hosts:
        assert exchange([hosts.connect(0, 1)], 1_000_000) >= 1_000_000 * 8 / 40e6


def test_uplink_is_shared_by_both_peers():
    with Hosts(Network("thin", 40e6, 0.0)) as hosts:
        pairs = [hosts.connect(0, 1), hosts.connect(0, 2)]
        assert exchange(pairs, 500_000) >= 2 * 500_000 * 8 / 40e6


def test_answers_use_the_uplink_of_who_answers():
    """What host 1 sends on a connection that host 0 made counts for host 1, like what it sends to host 2."""
    with Hosts(Network("thin", 40e6, 0.0)) as hosts:
        near, far = hosts.connect(0, 1)
        pairs = [(far, near), hosts.connect(1, 2)]
        assert exchange(pairs, 500_000) >= 2 * 500_000 * 8 / 40e6


def test_end_of_a_connection_is_passed_on_after_its_data():
    with Hosts(Network("slow", 1e9, 0.02)) as hosts:
        near, far = hosts.connect(0, 1)
        near.sendall(b"last words")
        near.close()
        assert receive(far, 10) == b"last words"
        assert far.recv(1) == b""


def test_refused_connection_is_closed(hosts):
    hosts.servers[1].close()
    assert ends(hosts.knock(0, 1))


def test_relay_ends_with_the_process_that_started_it():
    script = (
        "import os, time\n"
        "from ditto.runtime.transport.relay import Relay\n"
        "from ditto_compiler.network import Network\n"
        "relay = Relay(Network('n', 1e9, 0.0), ['127.0.0.1:1', '127.0.0.1:2', '127.0.0.1:3'])\n"
        "print(relay.process.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        relay = int(parent.stdout.readline())
        assert is_running(relay)
        parent.kill()
    deadline = time.monotonic() + 20
    while is_running(relay) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(relay)


def product(x, y):
    return x @ y


X = np.arange(12, dtype=np.float32).reshape(3, 4) / 8


def test_cluster_waits_for_each_round():
    program = ditto.compile(product, X, X.T, policy="uniform64")
    with ditto.LocalCluster(timeout=60, network="1gbit,100ms") as cluster:
        np.testing.assert_allclose(cluster.run(program, X, X.T), X @ X.T, atol=2**-14)
        # A product is one round, a truncation two.
        assert cluster.stats.seconds >= 3 * 0.05
        assert cluster.stats.engine_bytes == 9 * (24 + 28)


def test_dead_relay_is_a_clear_error_and_the_next_run_works():
    program = ditto.compile(product, X, X.T, policy="uniform64")
    with ditto.LocalCluster(timeout=60, network="1gbit,400ms") as cluster:
        cluster.start()
        process_ids = cluster.pids
        threading.Timer(0.3, os.kill, (cluster._parties.relay_pid, signal.SIGKILL)).start()
        start = time.monotonic()
        with pytest.raises(ditto.ClusterError, match="relay that imitates the network died by signal 9"):
            cluster.run(program, X, X.T)
        assert time.monotonic() - start < 30
        assert not any(map(is_running, process_ids))
        np.testing.assert_allclose(cluster.run(program, X, X.T), X @ X.T, atol=2**-14)


def test_dead_party_behind_a_relay_is_a_clear_error():
    program = ditto.compile(product, X, X.T, policy="uniform64")
    with ditto.LocalCluster(timeout=60, network="1gbit,400ms") as cluster:
        cluster.start()
        relay = cluster._parties.relay_pid
        threading.Timer(0.3, os.kill, (cluster.pids[1], signal.SIGKILL)).start()
        with pytest.raises(ditto.ClusterError, match="party P1 died by signal 9"):
            cluster.run(program, X, X.T)
        assert not is_running(relay)
