"""Certificates that `ditto certify` makes, seen by OpenSSL, by Python's ssl, and by who mistypes."""

import datetime
import os
import socket
import ssl
import stat
import subprocess
import threading

import pytest
from click.testing import CliRunner
from cryptography import x509

from ditto.runtime.transport import certificates
from ditto.runtime.transport.certificates import Authority, CertificateError, certificate_names
from ditto.runtime.transport.hosts import Address, Hosts
from ditto_compiler.errors import DittoError
from ditto_tools.cli import cli

# A name, how OpenSSL prints it, and its folder.
NAMES = [
    ("10.0.0.1", "IP Address:10.0.0.1", "10.0.0.1"),
    ("fd00::0:1", "IP Address:FD00:0:0:0:0:0:0:1", "fd00__1"),
    ("clinic.example", "DNS:clinic.example", "clinic.example"),
    ("alice", "DNS:alice", "alice"),
    ("spiffe://example/clinic", "URI:spiffe://example/clinic", "spiffe___example_clinic"),
]


def certify(*arguments):
    result = CliRunner().invoke(cli, ["certify", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def openssl(*arguments, cwd=None):
    done = subprocess.run(
        ["openssl", *map(str, arguments)], cwd=cwd, check=True, capture_output=True, text=True
    )
    return done.stdout


def load(path):
    return x509.load_pem_x509_certificate(path.read_bytes())


def tree(folder):
    return {
        path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    } | dict.fromkeys(path.relative_to(folder) for path in folder.rglob("*") if path.is_dir())


def tls(folder, *, server):
    addresses = (Address("127.0.0.1", 1),) * 3
    names = ("a", "b", "c")
    hosts = Hosts(addresses, addresses, names, folder / "ca.pem", folder / "host.pem", folder / "host.key")
    return hosts.tls(server=server)


def shake_hands(server, caller, name):
    """Both ends' certificates, as each sees the other's.

    Raises:
        OSError: one does not accept the other; with TLS 1.3, a caller sees that when it reads.
    """
    ours, theirs = socket.socketpair()
    seen = []

    def serve():
        try:
            with tls(server, server=True).wrap_socket(theirs, server_side=True) as sock:
                seen.append(sock.getpeercert())
                sock.sendall(b"ok")
        except OSError:
            theirs.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        ours.settimeout(20)
        with tls(caller, server=False).wrap_socket(ours, server_hostname=name) as sock:
            if sock.recv(2) != b"ok":
                raise OSError("the connection was ended")
            assert sock.version() == "TLSv1.3"
            seen.append(sock.getpeercert())
    finally:
        ours.close()
        thread.join()
    return seen


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certify") / "deep" / "ours"
    certify(folder, *(name for name, _, _ in NAMES))
    return folder


@pytest.mark.parametrize(("name", "printed", "own"), NAMES)
def test_openssl_accepts_them_and_sees_one_name(made, name, printed, own):
    for purpose in ("sslserver", "sslclient"):
        openssl(
            *("verify", "-x509_strict", "-purpose", purpose, "-check_ss_sig"),
            *("-CAfile", made / "ca.pem", made / own / "host.pem"),
        )
    said = openssl("x509", "-in", made / own / "host.pem", "-noout", "-ext", "subjectAltName")
    assert [line.strip() for line in said.splitlines()[1:]] == [printed]
    found = load(made / own / "host.pem")
    assert list(found.subject) == []
    assert len(certificate_names(found)) == 1
    assert (found.not_valid_after_utc - found.not_valid_before_utc).days == 365


def test_what_they_may_be_used_for(made):
    authority, leaf = (
        openssl("x509", "-in", path, "-noout", "-text")
        for path in (made / "ca.pem", made / "alice" / "host.pem")
    )
    assert "CA:TRUE, pathlen:0" in authority and "CA:FALSE" in leaf
    for text, usage in ((authority, "Certificate Sign"), (leaf, "Digital Signature")):
        assert text.partition("Key Usage: critical\n")[2].splitlines()[0].strip() == usage
        assert "NIST CURVE: P-256" in text
    assert "TLS Web Server Authentication, TLS Web Client Authentication" in leaf


def test_a_certificate_signs_no_others(made, tmp_path):
    certificate, key = made / "alice" / "host.pem", made / "alice" / "host.key"
    (tmp_path / "ca.pem").write_bytes(certificate.read_bytes())
    (tmp_path / "ca.key").write_bytes(key.read_bytes())
    with pytest.raises(CertificateError, match="is not the certificate of an authority"):
        Authority.load(tmp_path)


def test_serial_numbers_and_keys_differ(made):
    paths = [made / "ca.pem", *(made / own / "host.pem" for _, _, own in NAMES)]
    found = [load(path) for path in paths]
    assert len({one.serial_number for one in found}) == len(paths)
    assert len({one.public_key().public_numbers() for one in found}) == len(paths)


def test_who_can_read_what(made):
    modes = {
        path.relative_to(made): stat.S_IMODE(path.stat().st_mode)
        for path in made.rglob("*")
        if path.suffix == ".key" or path.is_dir()
    }
    assert set(modes.values()) == {0o600, 0o700}
    assert all((mode == 0o700) == (made / path).is_dir() for path, mode in modes.items())
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


@pytest.mark.parametrize("name", ["10.0.0.1", "clinic.example"])
def test_a_handshake_of_both_ends(made, name):
    caller, server = shake_hands(made / name, made / "spiffe___example_clinic", name)
    assert caller["subjectAltName"] == (("URI", "spiffe://example/clinic"),)
    assert server["subjectAltName"][0][1] == name


def test_a_handshake_with_somebody_else(made, tmp_path):
    """Whose a certificate of our authority is, callers look at themselves."""
    Authority.make(tmp_path / "other").issue("alice", tmp_path / "alice")
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate verify failed"):
        shake_hands(made / "clinic.example", tmp_path / "alice", "clinic.example")
    (tmp_path / "alice" / "ca.pem").write_bytes((made / "ca.pem").read_bytes())
    with pytest.raises(OSError, match=r"unknown ca|was ended|reset|EOF"):
        shake_hands(made / "clinic.example", tmp_path / "alice", "clinic.example")


@pytest.mark.parametrize(
    ("offsets", "message"), [((-2, -1), "certificate has expired"), ((1, 2), "certificate is not yet valid")]
)
def test_a_handshake_at_the_wrong_time(made, tmp_path, offsets, message):
    now = datetime.datetime.now(datetime.UTC)
    before, after = (now + datetime.timedelta(days=days) for days in offsets)
    Authority.load(made).issue("late.example", tmp_path / "late", not_before=before, not_after=after)
    with pytest.raises(ssl.SSLCertVerificationError, match=message):
        shake_hands(tmp_path / "late", made / "alice", "late.example")


def test_a_line_for_each_file(tmp_path):
    said = certify(tmp_path / "ours", "a.example", "--days", 30)
    for path in tree(tmp_path / "ours"):
        if path.suffix:
            assert said.count(f"{tmp_path / 'ours' / path}: ") == (path.name != "a.example")
    until = load(tmp_path / "ours" / "a.example" / "host.pem").not_valid_after_utc
    assert f"certificate of a.example until {until.date()}" in said
    assert abs(until - datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=30)).days in (-1, 0)
    assert "to its machine" in said.splitlines()[-1]


def test_more_names_later(tmp_path):
    certify(tmp_path, "a.example")
    before = tree(tmp_path)
    said = certify(tmp_path, "b.example")
    assert "ca.key" not in said
    assert before.items() <= tree(tmp_path).items()
    openssl("verify", "-CAfile", tmp_path / "ca.pem", tmp_path / "b.example" / "host.pem")


def test_renewal_keeps_the_key_which_may_be_elsewhere(tmp_path):
    certify(tmp_path, "a.example", "b.example", "--days", 2)
    (tmp_path / "a.example" / "host.key").rename(tmp_path / "away.key")
    before = tree(tmp_path)
    said = certify(tmp_path, "a.example", "--renew")
    after = tree(tmp_path)
    path = tmp_path / "a.example" / "host.pem"
    assert [name for name in after if after[name] != before.get(name)] == [path.relative_to(tmp_path)]
    assert said.startswith(f"{path}: certificate of a.example until ") and said.count("\n") == 1
    openssl("verify", "-x509_strict", "-CAfile", tmp_path / "ca.pem", path)
    new, old = load(path), x509.load_pem_x509_certificate(before[path.relative_to(tmp_path)])
    assert new.public_key() == old.public_key() and new.serial_number != old.serial_number
    assert (new.not_valid_after_utc - old.not_valid_after_utc).days == 363
    (tmp_path / "away.key").rename(tmp_path / "a.example" / "host.key")
    shake_hands(tmp_path / "a.example", tmp_path / "b.example", "a.example")


def test_an_authority_of_somebody_elses(tmp_path):
    """Any authority will do, here one made by OpenSSL, and any certificate that it signs."""
    curve = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    openssl(
        *("req", "-x509", *curve, "-days", 30, "-subj", "/CN=ours", "-keyout", "ca.key", "-out", "ca.pem"),
        cwd=tmp_path,
    )
    certify(tmp_path, "a.example", "--days", 20)
    own = tmp_path / "b"
    own.mkdir()
    (own / "ca.pem").write_bytes((tmp_path / "ca.pem").read_bytes())
    openssl(
        *("req", *curve, "-subj", "/CN=b", "-addext", "subjectAltName=DNS:b.example"),
        *("-keyout", "host.key", "-out", "host.csr"),
        cwd=own,
    )
    openssl(
        *("x509", "-req", "-in", "host.csr", "-CA", "../ca.pem", "-CAkey", "../ca.key", "-CAcreateserial"),
        *("-days", 20, "-copy_extensions", "copy", "-out", "host.pem"),
        cwd=own,
    )
    shake_hands(own, tmp_path / "a.example", "b.example")
    shake_hands(tmp_path / "a.example", own, "a.example")
    # It has less time left than what certificates are valid by default.
    with pytest.raises(CertificateError, match=r"days must be 1 to (29|30), which the authority has left"):
        certify(tmp_path, "c.example")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "name '' must be an address of IP, a URI or a host name"),
        ("a\nb", r"name 'a\\nb' must be"),
        ("a b", "without spaces"),
        ("zürich.example", "in ASCII"),
        ("*.example", "leave out the '\\*'"),
        ("spiffe://example/*", "leave out the '\\*'"),
        ("clinic.example/", "neither an address of IP, nor a URI, nor a host name"),
        ("10.0.0.0/8", "neither an address"),
        ("10.0.0.300", "neither an address"),
        ("fe80::1%eth0", "neither an address"),
        ("clinic.example:9000", "without a port"),
        ("Clinic.example", "write it in lower case"),
        ("clinic.example.", "neither an address"),
        ("-clinic", "neither an address"),
        ("..", "neither an address"),
        (".".join(["a" * 60] * 5), "neither an address"),
        ("://clinic", "is no URI"),
    ],
)
def test_names_that_are_none(tmp_path, name, message):
    with pytest.raises(CertificateError, match=message):
        certify(tmp_path / "ours", "--", "good.example", name)
    assert tree(tmp_path) == {}


def test_names_that_would_share_a_folder(tmp_path):
    for names in (("a.example", "a.example"), ("spiffe://a/b", "spiffe://a:b"), ("::1", "0::1")):
        with pytest.raises(CertificateError, match="would share the folder"):
            certify(tmp_path / "ours", *names)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize("days", ["0", "-1", "3651", "many"])
def test_days_that_are_none(tmp_path, days):
    result = CliRunner().invoke(cli, ["certify", str(tmp_path / "ours"), "a.example", "--days", days])
    assert result.exit_code == 2 and "--days" in result.output
    assert tree(tmp_path) == {}


def test_an_authority_as_long_as_its_longest_certificate(tmp_path):
    certify(tmp_path, "a.example", "--days", 3650)
    authority, leaf = load(tmp_path / "ca.pem"), load(tmp_path / "a.example" / "host.pem")
    assert authority.not_valid_after_utc >= leaf.not_valid_after_utc


def no_key(folder):
    (folder / "ca.key").unlink()


def no_certificate(folder):
    (folder / "ca.pem").unlink()


def key_of_another(folder):
    (folder / "ca.key").unlink()
    (Authority.make(folder / "x").folder / "ca.key").rename(folder / "ca.key")


def damaged_key(folder):
    (folder / "ca.key").write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")


def encrypted_key(folder):
    openssl("ec", "-aes128", "-passout", "pass:x", "-in", "ca.key", "-out", "new.key", cwd=folder)
    os.replace(folder / "new.key", folder / "ca.key")


def key_of_another_kind(folder):
    openssl("genpkey", "-algorithm", "ed25519", "-out", "ca.key", cwd=folder)
    openssl("req", "-x509", "-key", "ca.key", "-subj", "/CN=x", "-out", "ca.pem", cwd=folder)


def damaged_certificate(folder):
    (folder / "ca.pem").write_text("nonsense")


def two_certificates(folder):
    (folder / "ca.pem").write_bytes((folder / "ca.pem").read_bytes() * 2)


def no_authority(folder):
    own = folder / "x"
    Authority.load(folder).issue("a", own)
    os.replace(own / "host.pem", folder / "ca.pem")
    os.replace(own / "host.key", folder / "ca.key")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (no_key, r"cannot read '.*ca\.key': No such file"),
        (no_certificate, r"cannot read '.*ca\.pem': No such file"),
        (key_of_another, r"ca\.key' is not the key of '.*ca\.pem'"),
        (damaged_key, r"ca\.key' holds no private key without a password"),
        (encrypted_key, r"ca\.key' holds no private key without a password"),
        (key_of_another_kind, r"ca\.key' must be a key for ECDSA or RSA"),
        (damaged_certificate, r"ca\.pem' holds no certificate"),
        (two_certificates, r"ca\.pem' must hold one certificate, not 2"),
        (no_authority, r"ca\.pem' is not the certificate of an authority"),
    ],
)
def test_an_authority_that_cannot_sign(tmp_path, damage, message):
    Authority.make(tmp_path)
    damage(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(CertificateError, match=message):
        certify(tmp_path, "a.example")
    assert tree(tmp_path) == before


@pytest.mark.parametrize("days", [-20, 4000])
def test_an_authority_whose_time_it_is_not(tmp_path, monkeypatch, days):
    with monkeypatch.context() as patch:
        then = certificates._now() + datetime.timedelta(days=days - (3650 if days < 0 else 0))
        patch.setattr(certificates, "_now", lambda: then)
        Authority.make(tmp_path)
    before = tree(tmp_path)
    with pytest.raises(CertificateError, match="make a new authority in another folder"):
        certify(tmp_path, "a.example")
    assert tree(tmp_path) == before


def test_nothing_is_overwritten(tmp_path):
    certify(tmp_path, "a.example")
    before = tree(tmp_path)
    with pytest.raises(CertificateError, match=r"a\.example' exists; --renew makes a new certificate"):
        certify(tmp_path, "new.example", "a.example")
    authority = Authority.load(tmp_path)
    with pytest.raises(CertificateError, match=r"cannot write '.*host\.key': File exists"):
        authority.issue("b.example", tmp_path / "a.example")
    with pytest.raises(CertificateError, match=r"cannot write '.*ca\.key': File exists"):
        Authority.make(tmp_path)
    (tmp_path / "a.example" / "host.key").unlink()
    with pytest.raises(CertificateError, match=r"cannot write '.*host\.pem': File exists"):
        authority.issue("a.example", tmp_path / "a.example")
    del before[(tmp_path / "a.example" / "host.key").relative_to(tmp_path)]
    assert tree(tmp_path) == before


def test_what_cannot_be_renewed(tmp_path):
    ours, other = tmp_path / "ours", tmp_path / "other"
    certify(ours, "a.example", "b.example")
    certify(other, "a.example")
    before = tree(ours)
    with pytest.raises(CertificateError, match=r"cannot read '.*absent\.example/host\.pem'"):
        certify(ours, "a.example", "absent.example", "--renew")
    assert tree(ours) == before
    os.replace(other / "a.example" / "host.pem", ours / "a.example" / "host.pem")
    with pytest.raises(CertificateError, match="is signed by another authority"):
        certify(ours, "b.example", "a.example", "--renew")
    os.replace(ours / "b.example" / "host.pem", ours / "a.example" / "host.pem")
    with pytest.raises(CertificateError, match=r"is not the certificate of 'a\.example'"):
        certify(ours, "a.example", "--renew")
    with pytest.raises(CertificateError, match="cannot read"):
        certify(tmp_path / "absent", "a.example", "--renew")
    assert not (tmp_path / "absent").exists()


def test_folders_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CertificateError, match=r"cannot write .*: Not a directory"):
        certify(tmp_path / "file", "a.example")
    with pytest.raises(CertificateError, match="cannot write"):
        # Where nobody can make a folder, not even root.
        certify("/proc/ours", "a.example")
    with pytest.raises(CertificateError, match=r"cannot write .*: File name too long"):
        certify(tmp_path / "long", f"spiffe://{'a' * 300}")
    certify(tmp_path / "ours", "a.example")
    with pytest.raises(CertificateError, match=r"ca\.pem' exists"):
        # The name of a host, and of a file that is there.
        certify(tmp_path / "ours", "ca.pem")


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    certify(tmp_path, "a.example")
    before = tree(tmp_path)
    opened = os.open

    def full(path, *arguments, **options):
        if str(path).endswith("host.pem"):
            raise OSError(28, "No space left on device")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(certificates.os, "open", full)
    with pytest.raises(CertificateError, match=r"cannot write '.*b\.example/host\.pem': No space left"):
        certify(tmp_path, "b.example")
    assert tree(tmp_path) == before


def test_errors_are_for_users():
    assert issubclass(CertificateError, DittoError)
