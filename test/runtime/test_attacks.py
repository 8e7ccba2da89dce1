"""Strangers with a socket, holders of others' certificates, and callers who want what they may not have.

The three servers are real; each reaches the others through a proxy, which is whoever is between two hosts.
What callers can do wrong in frames is in test_malformed_frames.py.
"""

import asyncio
import contextlib
import datetime
import hashlib
import io
import itertools
import os
import secrets
import shutil
import socket
import ssl
import struct
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from test.support.certificates import Authority
from test.support.proxies import Proxy
from test.support.servers import NAMES, Servers, hosts_text, wait_until

import ditto
from ditto.runtime.caller.remote import RemoteParties
from ditto.runtime.party.links import LinkError, Links
from ditto.runtime.transport import certificates
from ditto.runtime.transport.hosts import load_hosts
from ditto.runtime.transport.ports import free_ports
from ditto.runtime.transport.wire import VERSION, WireError, recv_frame, send_frame
from ditto_compiler.network import PARTIES

X = np.arange(4096, dtype=np.int32).reshape(64, 64) % 97
PROGRAM = ditto.compile(lambda x: x @ x + 1, X)
EXPECTED = X @ X + 1
ENCODING = str(PROGRAM.values[PROGRAM.inputs[0].value].encoding)
SHARE = X.size * PROGRAM.values[PROGRAM.inputs[0].value].encoding.ring // 8 * 2

ACCESS = f"""
sessions = 2
memory_bytes = 10000000
[[allow]]
programs = "any"
callers = ["caller.test", "other.test"]
[[allow]]
programs = ["{PROGRAM.digest}"]
callers = ["limited.test"]
"""


@pytest.fixture(scope="module")
def proxies():
    """From each party to each other's link."""
    ports = free_ports(2 * PARTIES + PARTIES * PARTIES)
    own, between = ports[: 2 * PARTIES], ports[2 * PARTIES :]
    found = {
        (source, target): Proxy(own[2 * target + 1], between[PARTIES * source + target])
        for source, target in itertools.permutations(range(PARTIES), 2)
    }
    yield own, found
    for proxy in found.values():
        proxy.close()


@pytest.fixture(scope="module")
def servers(tmp_path_factory, proxies):
    own, between = proxies
    links = [
        [
            own[2 * target + 1] if source == target else between[source, target].port
            for target in range(PARTIES)
        ]
        for source in range(PARTIES)
    ]
    callers = ["caller.test", "other.test", "limited.test", "evil.test"]
    servers = Servers(tmp_path_factory.mktemp("attacks"), ACCESS, callers, own, links)
    yield servers
    logs = [servers.log(rank) for rank in range(PARTIES)]
    assert servers.close() == [0, 0, 0]
    # Neither tracebacks nor what Python says of exceptions that nobody retrieved; and nobody forged a line.
    known = ("party P", "caller.test", "other.test", "limited.test", "evil.test", "spiffe://", "?", *NAMES)
    lines = [line.partition("Z ") for log in logs for line in log.splitlines()]
    assert [line for line in lines if len(line[0]) != 19 or not line[2].startswith(known)] == []
    assert list(servers.temporary.iterdir()) == []


def check_right(servers, caller="caller.test"):
    with ditto.RemoteCluster(servers.folder / caller / "hosts.toml", timeout=60) as remote:
        np.testing.assert_array_equal(remote.run(PROGRAM, X), EXPECTED)


def parties_of(servers, caller="caller.test", timeout=60):
    """What a caller can do that does not keep to what `ditto` does."""
    return RemoteParties(load_hosts(servers.folder / caller / "hosts.toml"), timeout, None)


class Member:
    """Who has a certificate.

    Args:
        servers: whose authority made it, unless there is another.
        names: in it.
        uris: likewise.
    """

    def __init__(self, servers, folder, names=(), uris=(), authority=None, days=(-1, 1), common=""):
        made = certificates.Authority.load(servers.folder / "authority") if authority is None else authority
        now = datetime.datetime.now(datetime.UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common)] if common else [])
        builder = (
            x509.CertificateBuilder(
                made.certificate.subject, subject, key.public_key(), x509.random_serial_number()
            )
            .not_valid_before(now + datetime.timedelta(days=days[0]))
            .not_valid_after(now + datetime.timedelta(days=days[1]))
        )
        general = [*map(x509.DNSName, names), *map(x509.UniformResourceIdentifier, uris)]
        if general:
            builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
        certificate = builder.sign(made.key, hashes.SHA256())
        shutil.copy(servers.folder / "caller.test" / "ca.pem", folder / "ca.pem")
        (folder / "host.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        (folder / "host.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        (folder / "hosts.toml").write_text(hosts_text(servers.ports))
        self.hosts = load_hosts(folder / "hosts.toml")

    def ask(self, port, frame):
        """What is answered to a frame; nothing when the connection ends."""
        with (
            contextlib.suppress(OSError, WireError),
            socket.create_connection(("127.0.0.1", port), timeout=10) as plain,
            self.hosts.tls(server=False).wrap_socket(plain) as sock,
        ):
            send_frame(sock, frame)
            return recv_frame(sock)[0]
        return {}


STATUS = {"command": "status", "version": VERSION}
PING = {"ping": True}
PUSH = (
    b"POST /org.interconnection.link.ReceiverService/Push HTTP/1.1\r\nHost: p0\r\n"
    b"Content-Type: application/json\r\nContent-Length: 85\r\n\r\n"
    b'{"sender_rank": 1, "key": "root:P2P-1:1->0", "value": "AAAA", "trans_type": 0}       '
)


def is_well(servers, member):
    """Whether a caller is served at P0's address; its status says how far the links are."""
    status = member.ask(servers.ports[0], STATUS)
    return status.get("ok") and all("error" not in link for link in status["links"].values())


@pytest.fixture(scope="module")
def caller(servers, tmp_path_factory):
    return Member(servers, tmp_path_factory.mktemp("member"), ["caller.test"])


@pytest.mark.parametrize("port", [0, 1], ids=["address", "link"])
@pytest.mark.parametrize(
    "data",
    [PUSH, b"\0" * 1000, os.urandom(5000), b"\x16\x03\x01\x40\x00" + b"\1" * 300, b"\xff" * 20],
    ids=["push", "zeros", "junk", "hello", "ones"],
)
def test_plaintext(servers, caller, port, data):
    with socket.create_connection(("127.0.0.1", servers.ports[port]), timeout=20) as sock:
        sock.sendall(data)
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionError):
            while more := sock.recv(1000):
                answer += more
    # An alert of TLS at most.
    assert answer == b"" or (answer[0] == 0x15 and len(answer) == 7)
    assert is_well(servers, caller)


@pytest.mark.parametrize("port", [0, 1], ids=["address", "link"])
def test_older_tls(servers, port):
    context = load_hosts(servers.hosts).tls(server=False)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", servers.ports[port]), timeout=20) as plain,
        pytest.raises(ssl.SSLError),
    ):
        context.wrap_socket(plain)


@pytest.mark.parametrize("port", [0, 1], ids=["address", "link"])
def test_no_certificate(servers, port):
    context = ssl.create_default_context(cafile=servers.hosts.parent / "ca.pem")
    context.check_hostname = False
    with (
        socket.create_connection(("127.0.0.1", servers.ports[port]), timeout=20) as plain,
        pytest.raises((OSError, WireError)),
        context.wrap_socket(plain) as sock,
    ):
        send_frame(sock, PING if port else STATUS)
        recv_frame(sock)


OF_CALLERS = {
    "not in the access file": (["evil.test"], "the access file of party P0 does not mention 'evil.test'"),
    "a party's": (["p1.test"], "does not mention 'p1.test'"),
    "two names": (["caller.test", "other.test"], "exactly one subject alternative name"),
    "no name": ([], "exactly one subject alternative name, this has none"),
    "wildcard": (["*.test"], "exactly one subject alternative name, this has none"),
    "name and wildcard": (["caller.test", "*.test"], "exactly one subject alternative name"),
    "longer": (["caller.test.evil.test"], "does not mention 'caller.test.evil.test'"),
    "with a zero": (["caller.test\0.evil.test"], "exactly one subject alternative name"),
}
OF_PARTIES = {
    "a caller's": (["caller.test"], "only the other parties connect here, not caller.test"),
    "its own": (["p0.test"], "only the other parties connect here, not p0.test"),
    "both others'": (["p1.test", "p2.test"], "only the other parties connect here"),
    "no name": ([], "only the other parties connect here, not nobody"),
    "wildcard": (["*.test"], "only the other parties connect here, not nobody"),
    "longer": (["p1.test.evil.test"], "only the other parties connect here"),
}


@pytest.mark.parametrize("kind", OF_CALLERS)
def test_names_that_are_no_callers(servers, tmp_path, kind):
    names, message = OF_CALLERS[kind]
    # The subject's common name is nobody's name.
    member = Member(servers, tmp_path, names, common="caller.test")
    hello = {"command": "hello", "version": VERSION, "rank": 0, "session": f"{77:032x}"}
    assert message in member.ask(servers.ports[0], hello)["error"]


@pytest.mark.parametrize("kind", OF_PARTIES)
def test_names_that_are_no_parties(servers, tmp_path, kind):
    names, message = OF_PARTIES[kind]
    member = Member(servers, tmp_path, names, common="p1.test")
    assert message in member.ask(servers.ports[1], PING)["error"]


@pytest.mark.parametrize("port", [0, 1], ids=["address", "link"])
def test_certificates_that_are_not_valid(servers, tmp_path, port):
    name, frame = ("p1.test", PING) if port else ("caller.test", STATUS)
    other = Authority(tmp_path / "authority")._authority
    for number, wrong in enumerate(({"days": (-2, -1)}, {"days": (1, 2)}, {"authority": other})):
        own = tmp_path / str(number)
        own.mkdir()
        assert Member(servers, own, [name], **wrong).ask(servers.ports[port], frame) == {}
    own = tmp_path / "right"
    own.mkdir()
    # Hosts are the same in whatever case.
    assert Member(servers, own, [name.upper()]).ask(servers.ports[port], frame)["ok"]
    own = tmp_path / "address"
    own.mkdir()
    answer = Member(servers, own, uris=[f"spiffe://{name}"]).ask(servers.ports[port], frame)
    assert f"spiffe://{name}" in answer["error"]


def test_half_open_connections_keep_nobody_out(servers):
    """Hundreds that say nothing, or stop within a handshake, or send it byte by byte."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"
    with contextlib.ExitStack() as stack:
        over = threading.Event()
        trickling = []

        def trickle():
            for byte in itertools.cycle(hello):
                for sock in trickling:
                    with contextlib.suppress(OSError):
                        sock.send(bytes([byte]))
                if over.wait(0.1):
                    return

        for number, port in itertools.product(range(150), servers.ports[:2]):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            if number % 3 == 1:
                sock.sendall(hello)
            if number % 3 == 2:
                trickling.append(sock)
        thread = threading.Thread(target=trickle)
        thread.start()
        stack.callback(thread.join)
        stack.callback(over.set)
        check_right(servers)


def test_connections_leave_nothing_in_the_server(servers, caller, tmp_path):
    """Neither descriptors nor memory: 200 of each kind that are turned away, and 200 that are served."""
    evil = Member(servers, tmp_path, ["evil.test"])
    pid = servers.processes[0].pid

    def status(key):
        return int(Path(f"/proc/{pid}/status").read_text().partition(f"{key}:")[2].split()[0])

    def attack(count):
        for _ in range(count):
            assert "error" in evil.ask(servers.ports[0], STATUS)
            assert "error" in evil.ask(servers.ports[1], PING)
            with socket.create_connection(("127.0.0.1", servers.ports[0]), timeout=20) as sock:
                sock.sendall(PUSH)

    def descriptors():
        return len(os.listdir(f"/proc/{pid}/fd"))

    attack(150)
    wait_until(lambda: descriptors() < 25)
    before, slots, memory = descriptors(), status("FDSize"), status("VmRSS")
    attack(200)
    wait_until(lambda: descriptors() <= before)
    assert status("FDSize") <= max(slots, 128)
    assert status("VmRSS") - memory < 8000


def test_recorded_bytes_of_a_caller_are_worth_nothing(servers, proxies, tmp_path):
    """Played again to the parties, to the addresses and to the links."""
    recorders = [Proxy(servers.ports[2 * rank]) for rank in range(PARTIES)]
    shutil.copytree(servers.hosts.parent, tmp_path / "caller")
    ports = list(servers.ports)
    ports[::2] = [recorder.port for recorder in recorders]
    (tmp_path / "caller" / "hosts.toml").write_text(hosts_text(ports))
    with ditto.RemoteCluster(tmp_path / "caller" / "hosts.toml") as remote:
        np.testing.assert_array_equal(remote.run(PROGRAM, X), EXPECTED)
    logs = [servers.log(rank).count("begins") for rank in range(PARTIES)]
    streams = [(servers.ports[2 * rank], recorder.passed[0]) for rank, recorder in enumerate(recorders)]
    streams += [
        (servers.ports[2 * target + 1], proxy.passed[-1])
        for (_, target), proxy in proxies[1].items()
        if proxy.passed
    ]
    assert len(streams) >= 2 * PARTIES and all(len(stream) > 1000 for _, stream in streams)
    # Nor does anybody read the inputs in it.
    assert not any(X.tobytes()[1000:1064] in stream for _, stream in streams)
    for port, stream in streams:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock, contextlib.suppress(OSError):
            sock.sendall(stream)
            while sock.recv(1 << 16):
                pass
    assert [servers.log(rank).count("begins") for rank in range(PARTIES)] == logs
    for recorder in recorders:
        recorder.close()


@pytest.mark.parametrize("kind", ["flipped", "inserted"])
def test_changed_bytes_on_a_link(servers, proxies, kind):
    """A run over it fails, and says why; there is no wrong number."""
    with ditto.RemoteCluster(servers.hosts, timeout=60) as remote:
        np.testing.assert_array_equal(remote.run(PROGRAM, X), EXPECTED)

        def change(data, before):
            at = len(data) // 2
            return data[:at] + (bytes([data[at] ^ 1]) if kind == "flipped" else b"xy") + data[at + 1 :]

        for proxy in proxies[1].values():
            proxy.change = change
        try:
            with pytest.raises(ditto.ClusterError, match=r"P\d failed while .*its link to party P\d broke"):
                remote.run(PROGRAM, X)
        finally:
            for proxy in proxies[1].values():
                proxy.change = None
        np.testing.assert_array_equal(remote.run(PROGRAM, X), EXPECTED)


def test_a_changed_handshake_on_a_link(servers, proxies):
    proxy = proxies[1][2, 1]
    proxy.change = lambda data, before: data if before or len(data) < 100 else data[:60] + b"!" + data[61:]
    try:
        with pytest.raises(ditto.ClusterError, match=r"no link to party P1 at 127.0.0.1:\d+: "):
            ditto.RemoteCluster(servers.hosts, timeout=60).start()
    finally:
        proxy.change = None
    check_right(servers)


# Who poses as a party.


class Impostor:
    """Listens in place of a party.

    Args:
        hosts: with the certificate that it shows.
        answers: called with each connection.
    """

    def __init__(self, hosts, answers, tls=True):
        self._context = hosts.tls(server=True) if tls is True else tls
        self._answers = answers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(sock,), daemon=True).start()

    def _answer(self, plain):
        with contextlib.suppress(OSError, WireError), plain:
            if self._context is None:
                self._answers(plain)
                return
            with self._context.wrap_socket(plain, server_side=True) as sock:
                self._answers(sock)

    def close(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def party_hosts(servers, rank):
    return load_hosts(servers.folder / str(rank) / "hosts.toml")


def with_port(servers, folder, rank, port, link=False, base="caller.test"):
    """A hosts file in which a party is at another port."""
    shutil.copytree(servers.folder / base, folder / "posed", dirs_exist_ok=True)
    ports = list(servers.ports)
    ports[2 * rank + link] = port
    (folder / "posed" / "hosts.toml").write_text(hosts_text(ports))
    return folder / "posed" / "hosts.toml"


@pytest.mark.parametrize(
    ("who", "message"),
    [
        ("p1", "the certificate there is of p1.test, not of p2.test"),
        ("caller", "the certificate there is of evil.test, not of p2.test"),
        ("common", "the certificate there is of nobody by a subject alternative name, not of p2.test"),
        ("wildcard", "the certificate there is of nobody by a subject alternative name, not of p2.test"),
        ("old", "(?i)protocol"),
        ("plain", "no TLS with party P2|no link to party P2"),
        ("stranger", "certificate verify failed"),
    ],
)
@pytest.mark.parametrize("link", [False, True], ids=["caller", "party"])
def test_who_poses_as_a_party(servers, tmp_path, who, message, link):
    own = tmp_path / "own"
    own.mkdir()
    asked = []
    context = True
    match who:
        case "p1":
            hosts = party_hosts(servers, 1)
        case "caller":
            hosts = load_hosts(servers.folder / "evil.test" / "hosts.toml")
        case "common" | "wildcard":
            hosts = Member(servers, own, ["*.test"] if who == "wildcard" else [], common="p2.test").hosts
        case "stranger":
            other = Authority(tmp_path / "authority")._authority
            hosts = Member(servers, own, ["p2.test"], authority=other).hosts
        case _:
            hosts = party_hosts(servers, 2)
            context = None
            if who == "old":
                context = hosts.tls(server=True)
                context.minimum_version = ssl.TLSVersion.TLSv1_2
                context.maximum_version = ssl.TLSVersion.TLSv1_2

    def answers(sock):
        asked.append(sock.recv(1000))
        if who == "plain":
            sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    impostor = Impostor(hosts, answers, context)
    try:
        if link:
            path = with_port(servers, tmp_path, 2, impostor.port, True, base="0")

            async def ping():
                return await Links(load_hosts(path), 0).ping(2, 5.0)

            with pytest.raises(LinkError, match=message):
                asyncio.run(ping())
        else:
            with pytest.raises(ditto.ClusterError, match=message):
                ditto.RemoteCluster(with_port(servers, tmp_path, 2, impostor.port), timeout=20).start()
    finally:
        impostor.close()
    # It was told nothing.
    assert not any(asked) or who == "plain"


def floods(sock):
    while True:
        send_frame(sock, {"progress": 0})


def trickles(sock):
    sock.sendall(struct.pack("<I", 1000))
    while True:
        sock.sendall(b" ")
        time.sleep(0.05)


def sends(*data):
    def send(sock):
        for part in data:
            sock.sendall(part)
        time.sleep(30)

    return send


def frame_of(text):
    return struct.pack("<I", len(text)) + text


@pytest.mark.parametrize(
    ("party", "message"),
    [
        (floods, "took longer than the time-out of 2 s"),
        (trickles, "took longer than the time-out of 2 s"),
        (sends(frame_of(b'{"sizes": [1000000000000]}')), "took longer than the time-out of 2 s"),
        (sends(b"\xff\xff\xff\xff"), "received something that is not a frame"),
        (sends(frame_of(b'{"sizes": [1e3]}')), "received something that is not a frame"),
        (sends(frame_of(b"[" * 100_000)), "received something that is not a frame"),
        (lambda sock: None, "ended its connection while"),
    ],
    ids=itertools.count(),
)
@pytest.mark.parametrize("admits", [False, True])
def test_a_party_that_does_not_keep_to_the_protocol(servers, party, message, admits):
    """The caller is told so, in time."""

    def answers(sock):
        recv_frame(sock)
        if admits:
            send_frame(sock, {"admitted": True})
        party(sock)

    def waits(sock):
        recv_frame(sock)
        send_frame(sock, {"admitted": True})
        time.sleep(30)

    if party is floods and not admits:
        message = "speaks another protocol"
    impostors = [Impostor(party_hosts(servers, rank), waits if rank else answers) for rank in range(PARTIES)]
    ports = list(servers.ports)
    ports[::2] = [impostor.port for impostor in impostors]
    folder = servers.folder / f"caller{secrets.token_hex(4)}"
    shutil.copytree(servers.folder / "caller.test", folder)
    (folder / "hosts.toml").write_text(hosts_text(ports))
    started = time.monotonic()
    try:
        with pytest.raises(ditto.ClusterError, match=message):
            RemoteParties(load_hosts(folder / "hosts.toml"), 2, None)
    finally:
        for impostor in impostors:
            impostor.close()
    assert time.monotonic() - started < 10


# Callers with a session.


def zip_bomb():
    with io.BytesIO() as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for number in range(9):
                archive.writestr(f"{number}.npy", bytes(1 << 26))
        return file.getvalue()


def test_programs_that_are_none(servers):
    for content in (b"", b"junk", PROGRAM.to_bytes()[:-50], zip_bomb()):
        digest = hashlib.sha256(content).hexdigest()
        with (
            socket.create_connection(("127.0.0.1", servers.ports[0]), timeout=60) as plain,
            load_hosts(servers.hosts).tls(server=False).wrap_socket(plain) as sock,
        ):
            hello = {"command": "hello", "version": VERSION, "rank": 0, "session": secrets.token_hex(16)}
            send_frame(sock, hello)
            assert (recv_frame(sock)[0], recv_frame(sock)[0]) == ({"admitted": True}, {"ok": True})
            send_frame(sock, {"command": "load", "digest": digest}, [content])
            error = recv_frame(sock)[0]["error"]
            assert "program" in error and "Error(" not in error and "died" not in error


INPUT = {"command": "input", "value": PROGRAM.inputs[0].value, "encoding": ENCODING, "secret": True}


@pytest.mark.parametrize(
    ("header", "size", "message"),
    [
        (None, 0, "the program takes the values"),
        (INPUT, SHARE - 16, "the program takes 4096"),
        ({**INPUT, "encoding": "#ditto.fxp<32, 8>"}, X.size * 8, "fxp|encoding|cast"),
    ],
    ids=["none", "short", "another encoding"],
)
def test_inputs_that_the_program_does_not_take(servers, header, size, message):
    parties = parties_of(servers)
    try:
        parties.send_all({"command": "load", "digest": PROGRAM.digest}, [PROGRAM.executable])
        parties.answers(time.monotonic() + 60, "loading")
        if header is not None:
            parties.send_all(header, [bytes(size)])
        parties.send_all({"command": "run", "digest": PROGRAM.digest, "keep": []})
        with pytest.raises(ditto.ClusterError, match=message):
            parties.answers(time.monotonic() + 60, "running")
    finally:
        parties.close()


def test_who_may_run_what(servers):
    check_right(servers, "limited.test")
    other = ditto.compile(lambda x: x + 2, X)
    with (
        ditto.RemoteCluster(servers.folder / "limited.test" / "hosts.toml") as remote,
        pytest.raises(ditto.ClusterError, match=f"'limited.test' may not run program {other.digest}"),
    ):
        remote.run(other, X)
    with pytest.raises(ditto.ClusterError, match="does not mention 'evil"):
        ditto.RemoteCluster(servers.folder / "evil.test" / "hosts.toml").start()


def test_no_engine_listens_where_others_can_connect(servers):
    """Neither a party's process nor its server, but at the two ports of the hosts file."""
    with ditto.RemoteCluster(servers.hosts) as remote:
        remote.run(PROGRAM, X)
        processes = [*servers.sessions(), *(process.pid for process in servers.processes)]
        assert len(processes) == 2 * PARTIES
        inodes = set()
        for pid in processes:
            for path in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes.add(os.readlink(path).removeprefix("socket:[").removesuffix("]"))
        listening = {
            int(words[1].rpartition(":")[2], 16)
            for table in ("tcp", "tcp6")
            for words in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
            if words[9] in inodes and words[3] == "0A"
        }
        assert listening == set(servers.ports)
        # Those of Unix are in folders of this user alone.
        for folder in servers.temporary.iterdir():
            assert folder.stat().st_mode & 0o077 == 0


def test_two_callers_side_by_side(servers, monkeypatch):
    """One whose runs fail, who leaves within them and comes again, with the other's session number."""
    monkeypatch.setattr(secrets, "token_hex", lambda count: "ab" * count)
    over = threading.Event()
    failed = []

    def attack():
        while not over.is_set():
            parties = parties_of(servers, "other.test")
            with contextlib.suppress(ditto.ClusterError):
                parties.send_all({"command": "load", "digest": PROGRAM.digest}, [PROGRAM.executable])
                parties.answers(time.monotonic() + 60, "loading")
                parties.send_all(INPUT, [os.urandom(SHARE)])
                parties.send_all({"command": "run", "digest": PROGRAM.digest, "keep": []})
            failed.append(1)
            for sock in parties._sockets:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            parties.close()

    with ditto.RemoteCluster(servers.hosts, timeout=60) as remote:
        attacker = threading.Thread(target=attack)
        attacker.start()
        try:
            while len(failed) < 2:
                np.testing.assert_array_equal(remote.run(PROGRAM, X), EXPECTED)
        finally:
            over.set()
            attacker.join()
        np.testing.assert_array_equal(remote.run(PROGRAM, X), EXPECTED)
    wait_until(lambda: not servers.sessions() and not servers.left())


def test_many_callers_at_once_all_get_through(servers):
    """More than there are sessions, each of which is needed at all three parties."""
    found = []

    def call(name):
        with ditto.RemoteCluster(servers.folder / name / "hosts.toml", timeout=120) as remote:
            found.append(np.array_equal(remote.run(PROGRAM, X), EXPECTED))

    names = ["caller.test", "other.test", "limited.test"] * 2
    threads = [threading.Thread(target=call, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True] * 6
