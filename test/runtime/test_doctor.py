"""`ditto doctor`: all is well with real parties; and each thing that can be wrong has its line."""

import contextlib
import datetime
import json
import os
import shutil
import signal
import socket
import ssl
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from test.support.certificates import Authority
from test.support.servers import NAMES, Servers

from ditto.runtime.caller.doctor import examine
from ditto.runtime.transport.hosts import load_hosts
from ditto.runtime.transport.wire import VERSION, pack_header
from ditto_compiler.network import PARTIES
from ditto_tools.cli import cli

NOW = datetime.datetime.now(datetime.UTC)
PAST = {"not_before": NOW - datetime.timedelta(days=2), "not_after": NOW - datetime.timedelta(days=1)}


@pytest.fixture(scope="module")
def servers(tmp_path_factory):
    running = Servers(tmp_path_factory.mktemp("hosts"), callers=("caller.test", "stranger.test"))
    yield running
    running.close()


@pytest.fixture
def caller(servers, tmp_path):
    """A folder of a caller's, to spoil."""
    shutil.copytree(servers.hosts.parent, tmp_path / "caller")
    return tmp_path / "caller"


def failures(findings):
    return [(finding.where, finding.check) for finding in findings if finding.state == "failed"]


def line(findings, where, check, state="failed"):
    """The only finding of a check."""
    found = [f for f in findings if (f.where, f.check, f.state) == (where, check, state)]
    assert len(found) == 1, findings
    assert found[0].remedy or state == "ok"
    return found[0].found


def doctor(*arguments):
    return CliRunner().invoke(cli, ["doctor", *map(str, arguments)])


def test_all_is_well(servers):
    done = doctor(servers.hosts)
    assert done.exit_code == 0, done.output
    assert "0 failed, 0 warnings" in done.output
    findings = [tuple(finding.values())[:3] for finding in json.loads(doctor(servers.hosts, "--json").output)]
    for rank in range(PARTIES):
        for check in ("reachable", "certificate", "versions", "sessions", "clock"):
            assert (f"P{rank}", check, "ok") in findings
        for peer in {0, 1, 2} - {rank}:
            assert (f"P{rank} -> P{peer}", "link", "ok") in findings
            assert (f"P{rank} -> P{peer}", "clock", "ok") in findings


def test_on_a_partys_machine(servers):
    """Which no access file mentions; parties may ask each other how they are."""
    done = doctor(servers.folder / "1" / "hosts.toml", "--rank", 1)
    assert done.exit_code == 0, done.output
    assert "we are party P1, p1.test" in done.output
    assert "access file: " in done.output


def test_a_party_that_does_not_know_this_caller_says_what_is_missing(servers):
    findings = examine(servers.folder / "stranger.test" / "hosts.toml")
    assert failures(findings) == [(f"P{rank}", "answer") for rank in range(PARTIES)]
    found = line(findings, "P1", "answer")
    assert "the access file of party P1 does not mention 'stranger.test'" in found
    assert 'an [[allow]] with "stranger.test" in callers' in found


def spoil(folder, **changes):
    """Changes files of a folder: None removes one."""
    for name, text in changes.items():
        path = folder / name.replace("_", ".")
        if text is None:
            path.unlink()
        else:
            path.write_text(text)


DEEP = "x = " + "[" * 100_000

FILES = {
    "too deep": ({"hosts_toml": DEEP}, "hosts file", "cannot read hosts file"),
    "no hosts file": ({"hosts_toml": None}, "hosts file", "cannot read hosts file"),
    "not TOML": ({"hosts_toml": "parties"}, "hosts file", "cannot read hosts file"),
    "no certificate": ({"host_pem": None}, "certificate", "No such file"),
    "no key": ({"host_key": None}, "key", "No such file"),
    "no authority": ({"ca_pem": None}, "ca", "No such file"),
    "no PEM": ({"host_pem": "nothing"}, "certificate", "it holds no certificate"),
    "no key in it": ({"host_key": "nothing"}, "key", "holds no private key"),
}


@pytest.mark.parametrize("name", FILES)
def test_own_files(caller, name):
    changes, check, found = FILES[name]
    spoil(caller, **changes)
    findings = examine(caller / "hosts.toml", timeout=3)
    assert found in line(findings, "here", check)
    assert doctor(caller / "hosts.toml", "--timeout", 3).exit_code == 1


@pytest.mark.parametrize("host", ["a" * 70, "a..b", "a\\u0000b"])
def test_an_address_that_nobody_can_have(caller, host):
    text = (caller / "hosts.toml").read_text()
    (caller / "hosts.toml").write_text(text.replace("127.0.0.1", host, 1))
    assert "address of party 0 has a host" in line(examine(caller / "hosts.toml"), "here", "hosts file")


@pytest.mark.parametrize("names", [(), ("caller.test", "other.test")])
def test_a_caller_has_exactly_one_name(caller, names):
    key = serialization.load_pem_private_key((caller / "host.key").read_bytes(), None)
    builder = (
        x509.CertificateBuilder(x509.Name([]), x509.Name([]), key.public_key(), 1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + datetime.timedelta(days=60))
    )
    if names:
        entries = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(entries, critical=True)
    certificate = builder.sign(key, hashes.SHA256())
    (caller / "host.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    findings = examine(caller / "hosts.toml", timeout=3)
    assert f"is of {', '.join(names) or 'nobody'}" in line(findings, "here", "name")


def test_a_key_with_a_password(caller):
    key = serialization.load_pem_private_key((caller / "host.key").read_bytes(), None)
    sealed = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    (caller / "host.key").write_bytes(sealed)
    findings = examine(caller / "hosts.toml")
    assert "without a password" in line(findings, "here", "key")
    assert "the key is encrypted" in line(findings, "here", "TLS")


def test_a_key_that_others_can_read(caller):
    (caller / "host.key").chmod(0o640)
    assert "others can read" in line(examine(caller / "hosts.toml"), "here", "key")


def test_the_key_of_another_certificate(caller, servers):
    shutil.copy(servers.folder / "stranger.test" / "host.key", caller)
    findings = examine(caller / "hosts.toml")
    assert "is not the key of the certificate" in line(findings, "here", "key")
    assert "cannot use certificate" in line(findings, "here", "TLS")


def test_a_certificate_that_ends_soon_is_a_warning(servers, tmp_path):
    hosts = issued(servers, tmp_path, "caller.test", days=20)
    findings = examine(hosts)
    assert failures(findings) == []
    assert "expires at" in line(findings, "here", "certificate", "warning")
    assert doctor(hosts).exit_code == 0


def test_a_certificate_that_has_expired(servers, tmp_path):
    hosts = issued(servers, tmp_path, "caller.test", **PAST)
    findings = examine(hosts)
    assert "expired at" in line(findings, "here", "certificate")
    for rank in range(PARTIES):
        assert "does not take our certificate" in line(findings, f"P{rank}", "answer")


def test_a_certificate_of_an_authority_that_nobody_knows(caller, tmp_path):
    other = Authority(tmp_path / "other")
    other.issue(tmp_path / "ours", "caller.test")
    for name in ("host.pem", "host.key"):
        shutil.copy(tmp_path / "ours" / name, caller)
    findings = examine(caller / "hosts.toml")
    assert "is not signed by" in line(findings, "here", "certificate")
    assert "does not take our certificate" in line(findings, "P2", "answer")


def test_the_certificate_of_another_party(servers, tmp_path):
    shutil.copytree(servers.folder / "1", tmp_path / "1")
    for name in ("host.pem", "host.key"):
        shutil.copy(servers.folder / "2" / name, tmp_path / "1")
    findings = examine(tmp_path / "1" / "hosts.toml", 1)
    assert "is of p2.test; party P1 is p1.test in the hosts file" in line(findings, "here", "name")
    # To the links it is what it says, and the party that it is does not take it for another.
    assert ("P1 -> P2", "answer") in failures(findings)


def test_an_access_file_that_cannot_be_used(servers, tmp_path):
    shutil.copytree(servers.folder / "0", tmp_path / "0")
    spoil(tmp_path / "0", access_toml='store = "store"\nstore_key = "store.key"\n')
    assert "there is no store key" in line(examine(tmp_path / "0" / "hosts.toml", 0), "here", "access file")
    spoil(tmp_path / "0", access_toml="sesions = 3\n")
    assert "did you mean 'sessions'?" in line(
        examine(tmp_path / "0" / "hosts.toml", 0), "here", "access file"
    )


def test_no_such_party(servers):
    assert "parties 0 to 2, got 3" in line(examine(servers.hosts, 3), "here", "hosts file")


def issued(servers, tmp_path, name, **options):
    """The hosts file of a folder with a certificate for `name`."""
    own = tmp_path / name
    servers.authority.issue(own, name, **options)
    shutil.copy(servers.hosts, own)
    return own / "hosts.toml"


# Something else than a party, in P1's place.


def silent(sock):
    """Says nothing until the other side leaves."""
    while sock.recv(4096):
        pass


def closing(sock):
    pass


def web(sock):
    sock.recv(4096)
    sock.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    silent(sock)


def over_tls(context, then):
    def serve(sock):
        with context.wrap_socket(sock, server_side=True) as secure:
            then(secure)

    return serve


def saying(answer):
    def then(secure):
        secure.recv(4096)
        secure.sendall(answer)
        silent(secure)

    return then


def trickling(secure):
    secure.recv(4096)
    for byte in pack_header({"ok": True, "x": "x" * 1000}):
        secure.sendall(bytes([byte]))
        time.sleep(0.2)


@contextlib.contextmanager
def fake(caller, serve, listening=True):
    """The caller's hosts file with `serve` in the place of P1."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        if listening:
            listener.listen(8)
        port = listener.getsockname()[1]

        def one(sock):
            with sock, contextlib.suppress(OSError):
                sock.settimeout(20)
                serve(sock)

        def accept():
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=one, args=(listener.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        text = (caller / "hosts.toml").read_text()
        lines = [
            part.replace(part.split('"')[1], f"127.0.0.1:{port}") if NAMES[1] in part else part
            for part in text.splitlines(keepends=True)
        ]
        (caller / "hosts.toml").write_text("".join(lines))
        yield caller / "hosts.toml"
        listener.shutdown(socket.SHUT_RDWR) if listening else None


@pytest.fixture
def tls(servers, tmp_path):
    """Makes contexts of servers with certificates."""

    def make(name=NAMES[1], authority=servers.authority, version=ssl.TLSVersion.TLSv1_3, **options):
        own = tmp_path / f"fake {name}"
        authority.issue(own, name, **options)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = version
        context.load_cert_chain(own / "host.pem", own / "host.key")
        return context

    return make


def fakes(tls, tmp_path):
    """By name: what serves, which check fails, and what it says."""
    status = {"ok": True, "time": 0.0}
    return {
        "silent": lambda: (silent, "TLS", "accepts connections and says nothing"),
        "closing": lambda: (closing, "TLS", "ended the connection within the handshake"),
        "web": lambda: (web, "TLS", "does not speak TLS"),
        "old TLS": lambda: (
            over_tls(tls(version=ssl.TLSVersion.TLSv1_2), silent),
            "TLS",
            "does not speak TLS 1.3",
        ),
        "another authority": lambda: (
            over_tls(tls(authority=Authority(tmp_path / "other")), silent),
            "certificate",
            "it is of p1.test, signed by 'CN=Ditto authority ",
        ),
        "another party": lambda: (
            over_tls(tls(NAMES[2]), silent),
            "certificate",
            "the certificate there is of p2.test, not of p1.test",
        ),
        "expired": lambda: (
            over_tls(tls(**PAST), silent),
            "certificate",
            "certificate has expired (it is of p1.test",
        ),
        "silent after the handshake": lambda: (
            over_tls(tls(), silent),
            "answer",
            "says nothing after the handshake",
        ),
        "slow": lambda: (over_tls(tls(), trickling), "answer", "it did not end in time"),
        "no frame": lambda: (over_tls(tls(), saying(b"x" * 99)), "answer", "does not speak as a party does"),
        "huge": lambda: (
            over_tls(tls(), saying(pack_header({"ok": True}, [1 << 39]))),
            "answer",
            "does not speak as a party does",
        ),
        "refusal": lambda: (
            over_tls(tls(), saying(pack_header({"error": "no\x1b[31m\nok P2"}))),
            "answer",
            r"it turns us away: no\x1b[31m\nok P2",
        ),
        "no status": lambda: (
            over_tls(tls(), saying(pack_header(status))),
            "answer",
            "it answers as no party of this version does",
        ),
        "clock": lambda: (over_tls(tls(), saying(pack_header(status))), "clock", "s behind ours"),
        "versions": lambda: (
            over_tls(tls(), saying(pack_header(full(version=VERSION + 1)))),
            "versions",
            f"protocol {VERSION + 1}; here: ",
        ),
        "rank": lambda: (over_tls(tls(), saying(pack_header(full(rank=2)))), "rank", "runs as party P2"),
        "hosts file": lambda: (
            over_tls(tls(), saying(pack_header(full(names=["a", "b", "c"])))),
            "hosts file",
            "has the parties a, b, c",
        ),
    }


def full(**changes):
    """A status that is as good as a party's, but for `changes`."""
    from ditto.runtime.caller.doctor import _installed

    link = {"rtt_s": 0.001, "skew_s": 0.0, "version": VERSION}
    return {
        "ok": True,
        "rank": 1,
        "names": NAMES,
        "version": VERSION,
        "ditto": _installed("ditto-mpc"),
        "spu": _installed("spu"),
        "time": time.time(),
        "sessions": 0,
        "waiting": 0,
        "limit": 2,
        "links": {"0": link, "2": link},
    } | changes


@pytest.mark.parametrize("name", fakes(None, None))
def test_what_is_no_party(caller, tls, tmp_path, name):
    serve, check, found = fakes(tls, tmp_path)[name]()
    with fake(caller, serve) as hosts:
        start = time.monotonic()
        findings = examine(hosts, timeout=2)
        assert time.monotonic() - start < 2.5
    assert found in line(findings, "P1", check)
    assert all(where.startswith("P1") for where, _ in failures(findings))


def test_nothing_listens(caller):
    with fake(caller, closing, listening=False) as hosts:
        assert "nothing listens at" in line(examine(hosts), "P1", "reachable")


def test_a_name_that_does_not_resolve(caller):
    text = (caller / "hosts.toml").read_text()
    (caller / "hosts.toml").write_text(text.replace('address = "127.0.0.1', 'address = "no.such.invalid', 1))
    assert "cannot resolve 'no.such.invalid'" in line(examine(caller / "hosts.toml"), "P0", "name")


def test_a_host_that_drops_what_comes(caller):
    """A queue that nobody accepts from: further connections get no answer."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(8):
            sock = stack.enter_context(socket.socket())
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        text = (caller / "hosts.toml").read_text()
        first = text.split('address = "')[1].split('"')[0]
        (caller / "hosts.toml").write_text(text.replace(first, f"127.0.0.1:{listener.getsockname()[1]}"))
        start = time.monotonic()
        findings = examine(caller / "hosts.toml", timeout=1.5)
        assert time.monotonic() - start < 2
    assert "does not answer" in line(findings, "P0", "reachable")


def connections(port):
    """How many connections to a port of loopback there are, by the ends that connected."""
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[2].split(":")[1], 16) == port and row[3] == "01" for row in rows)


def test_many_who_ask_do_not_make_parties_connect_often(servers):
    os.kill(servers.processes[2].pid, signal.SIGSTOP)
    link = load_hosts(servers.hosts).links[2].port
    try:
        askers = [
            threading.Thread(target=examine, args=(servers.hosts,), kwargs={"timeout": 3}) for _ in range(8)
        ]
        for asker in askers:
            asker.start()
        most = 0
        while any(asker.is_alive() for asker in askers):
            most = max(most, connections(link))
            time.sleep(0.02)
        assert 0 < most <= 2
    finally:
        os.kill(servers.processes[2].pid, signal.SIGCONT)


def test_links_between_parties(servers):
    """A party that is stopped is silent; the others say so, in time."""
    os.kill(servers.processes[2].pid, signal.SIGSTOP)
    try:
        start = time.monotonic()
        findings = examine(servers.hosts, timeout=3)
        assert time.monotonic() - start < 3.5
    finally:
        os.kill(servers.processes[2].pid, signal.SIGCONT)
    assert set(failures(findings)) == {("P2", "TLS"), ("P0 -> P2", "link"), ("P1 -> P2", "link")}
    assert "no link to party P2 at 127.0.0.1:" in line(findings, "P0 -> P2", "link")
    assert "no answer" in line(findings, "P1 -> P2", "link")
    assert failures(examine(servers.hosts)) == []
