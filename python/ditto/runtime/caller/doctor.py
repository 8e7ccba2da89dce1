"""What stands between a caller and three parties on hosts, or between the parties: `ditto doctor`.

Only what can be seen without a session: files, certificates, connections, and what the parties say of
themselves and of their links when they are asked for their `status`. Any caller whom they know may ask, and
so may the other parties.
"""

from __future__ import annotations

import ssl
import stat
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from ditto.runtime.caller.doctor_probe import Finding, Probe, failed, ok, validity
from ditto.runtime.party.access import AccessError, load_access
from ditto.runtime.transport.certificates import certificate_names
from ditto.runtime.transport.hosts import Hosts, HostsError, load_hosts
from ditto.runtime.transport.identity import normal_name
from ditto.runtime.transport.wire import VERSION
from ditto_compiler.network import PARTIES

HERE = "here"

CLOCKS_S = 5.0
"""By how much two machines' clocks may differ."""

_PACKAGES = {"ditto": "ditto-mpc", "spu": "spu"}
_MARGIN_S = 0.3


def examine(path: str | Path, rank: int | None = None, timeout: float = 10.0) -> list[Finding]:
    """Checks all that a caller needs to run programs, or, on a party's machine, that party.

    Args:
        path: of the hosts file.
        rank: of the party whose machine this is; None on a caller's.
        timeout: seconds for all of it, however silent others are.
    """
    deadline = time.monotonic() + timeout
    try:
        if rank is not None and not 0 <= rank < PARTIES:
            raise HostsError(f"there are parties 0 to {PARTIES - 1}, got {rank}")
        hosts = load_hosts(path)
    except HostsError as error:
        return [failed(HERE, "hosts file", f"{error}", "correct it; docs/howto/hosts.md describes it")]
    findings = [ok(HERE, "hosts file", f"{path}")]
    findings += _own_certificate(hosts, rank)
    if rank is not None:
        findings.append(_access(hosts))
    try:
        tls = hosts.tls(server=False)
        hosts.tls(server=True)
    except HostsError as error:
        remedy = "correct what failed above; the files must be PEM, and the key without a password"
        return [*findings, failed(HERE, "TLS", f"{error}", remedy)]
    return [*findings, *_others(hosts, rank, tls, deadline)]


def _own_certificate(hosts: Hosts, rank: int | None) -> list[Finding]:
    """What is to be said of the files that the hosts file names."""
    findings: list[Finding] = []
    shown, authorities = (
        _certificates(path, what, findings)
        for path, what in ((hosts.certificate, "certificate"), (hosts.ca, "ca"))
    )
    for authority in authorities:
        findings.append(validity(HERE, "ca", f"'{hosts.ca}'", authority))
    if shown:
        findings += [
            *_names(hosts, shown[0], rank),
            validity(HERE, "certificate", f"'{hosts.certificate}'", shown[0]),
        ]
        if authorities and not _signed(shown, authorities):
            findings.append(
                failed(
                    HERE,
                    "certificate",
                    f"'{hosts.certificate}' is not signed by '{hosts.ca}'",
                    "take both from one authority: ditto certify puts a copy of its ca.pem beside each",
                )
            )
    findings.append(_key(hosts.key, shown[0] if shown else None))
    return findings


def _certificates(path: Path, what: str, findings: list[Finding]) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no certificate in PEM"
        remedy = "copy the files that ditto certify made for this machine beside the hosts file"
        findings.append(failed(HERE, what, f"cannot read '{path}': {reason}", remedy))
        return []


def _names(hosts: Hosts, certificate: x509.Certificate, rank: int | None) -> list[Finding]:
    names = [normal_name(name) for name in certificate_names(certificate)]
    found = ", ".join(names) or "nobody"
    if rank is None:
        if len(names) == 1:
            return [ok(HERE, "name", f"we are {found}")]
        return [
            failed(
                HERE,
                "name",
                f"'{hosts.certificate}' is of {found}",
                "take one with exactly one name, by which parties know a caller: ditto certify FOLDER NAME",
            )
        ]
    if hosts.names[rank] in names:
        return [ok(HERE, "name", f"we are party P{rank}, {found}")]
    return [
        failed(
            HERE,
            "name",
            f"'{hosts.certificate}' is of {found}; party P{rank} is {hosts.names[rank]} in the hosts file",
            f"copy the files that ditto certify made for {hosts.names[rank]} here, or correct the hosts file",
        )
    ]


def _signed(chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate]) -> bool:
    """Whether one of the authorities signed the last of a chain of certificates."""
    current, *rest = chain
    for issuer in authorities:
        if _issued(current, issuer):
            return True
    return bool(rest) and _issued(current, rest[0]) and _signed(rest, authorities)


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _key(path: Path, certificate: x509.Certificate | None) -> Finding:
    try:
        private = path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO) == 0
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        return failed(
            HERE,
            "key",
            f"cannot read '{path}': {error.strerror}",
            "copy host.key of this machine beside the hosts file, for the user who runs ditto",
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return failed(
            HERE,
            "key",
            f"'{path}' holds no private key without a password",
            "take the key that belongs to the certificate; `openssl pkey -in KEY` takes a password off",
        )
    if certificate is not None and key.public_key() != certificate.public_key():
        return failed(
            HERE,
            "key",
            f"'{path}' is not the key of the certificate",
            "take host.key and host.pem of one machine, from the folder of its name",
        )
    if not private:
        return failed(HERE, "key", f"others can read '{path}'", f"run: chmod 600 '{path}'")
    return ok(HERE, "key", f"'{path}', of the certificate, for this user only")


def _access(hosts: Hosts) -> Finding:
    if hosts.access is None:
        return failed(
            HERE,
            "access file",
            "the hosts file has no 'access'",
            'add access = "access.toml" to it, and write that file; docs/howto/hosts.md describes it',
        )
    try:
        access = load_access(hosts.access)
    except AccessError as error:
        return failed(HERE, "access file", f"{error}", "correct it; docs/howto/hosts.md describes it")
    kept = "deposits end with the process" if access.store is None else f"deposits in '{access.store}'"
    return ok(HERE, "access file", f"'{hosts.access}'; {kept}")


def _others(hosts: Hosts, rank: int | None, tls: ssl.SSLContext, deadline: float) -> list[Finding]:
    """What is to be said of the parties, and of what they say."""
    asked = deadline - _MARGIN_S
    # A party answers when its peers have, or have had half of the time.
    half = max((asked - time.monotonic()) / 2, 0.1)
    status = {"command": "status", "version": VERSION, "links_s": half}
    parties = {
        peer: Probe(f"P{peer}", hosts.addresses[peer], hosts.names[peer], tls, asked)
        for peer in range(PARTIES)
    }
    # A party's own way to the others is seen without its server, too.
    links = {
        peer: Probe(f"P{rank} -> P{peer}", hosts.links[peer], hosts.names[peer], tls, asked)
        for peer in range(PARTIES)
        if rank is not None and peer != rank
    }
    jobs = [_Job(probe, status) for probe in parties.values()]
    jobs += [_Job(probe, {"ping": True, "version": VERSION}) for probe in links.values()]
    findings = [finding for job in jobs for finding in job.findings(deadline)]
    statuses = {peer: probe.answer for peer, probe in parties.items() if probe.answer}
    for peer, answer in statuses.items():
        findings += _understood(f"P{peer}", partial(_of_status, hosts, peer, answer))
        findings.append(_clock(f"P{peer}", parties[peer].skew_s, "ours"))
    for peer, probe in links.items():
        if probe.answer:
            findings.append(_clock(f"P{rank} -> P{peer}", probe.skew_s, "ours"))
    for peer, answer in statuses.items():
        for other in range(PARTIES):
            if other != peer:
                where = f"P{peer} -> P{other}"
                findings += _understood(where, partial(_of_link, hosts, peer, other, answer))
    return findings


class _Job:
    """A probe in a thread of its own, which nobody waits for when it is late."""

    def __init__(self, probe: Probe, question: dict[str, Any]) -> None:
        self._probe = probe
        self._thread = threading.Thread(target=probe.run, args=(question,), daemon=True)
        self._thread.start()

    def findings(self, deadline: float) -> list[Finding]:
        self._thread.join(max(deadline - time.monotonic(), 0.0))
        found = list(self._probe.findings)
        if self._thread.is_alive():
            remedy = "look what listens there, and whether names resolve quickly; --timeout gives it longer"
            found.append(failed(self._probe.where, "answer", "it did not end in time", remedy))
        return found


def _understood(where: str, read: Callable[[], list[Finding]]) -> list[Finding]:
    """What an answer says, which may be anything."""
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        remedy = "install the same ditto on all machines"
        found = f"it answers as no party of this version does: {error!r}"
        return [failed(where, "answer", found, remedy)]


def _of_status(hosts: Hosts, rank: int, status: dict[str, Any]) -> list[Finding]:
    where = f"P{rank}"
    findings = []
    if status["rank"] != rank:
        findings.append(
            failed(
                where,
                "rank",
                f"it runs as party P{status['rank']}",
                "start it with the rank that it has in the hosts file, which must be alike everywhere",
            )
        )
    if status["names"] != list(hosts.names):
        findings.append(
            failed(
                where,
                "hosts file",
                f"its hosts file has the parties {', '.join(map(str, status['names']))}",
                f"give all machines the same `parties`; here they are {', '.join(hosts.names)}",
            )
        )
    ours = {"version": str(VERSION)} | {key: _installed(package) for key, package in _PACKAGES.items()}
    theirs = {key: str(status[key]) for key in ours}
    text = "ditto {ditto}, spu {spu}, protocol {version}".format
    if theirs == ours:
        findings.append(ok(where, "versions", text(**ours)))
    else:
        found = f"{text(**theirs)}; here: {text(**ours)}"
        remedy = "install the same ditto on all machines"
        findings.append(failed(where, "versions", found, remedy))
    running, waiting, limit = (int(status[key]) for key in ("sessions", "waiting", "limit"))
    findings.append(
        ok(where, "sessions", f"{running} running, {waiting} waiting, {limit} at most side by side")
    )
    return findings


def _of_link(hosts: Hosts, rank: int, peer: int, status: dict[str, Any]) -> list[Finding]:
    where, link = f"P{rank} -> P{peer}", status["links"][str(peer)]
    if "error" in link:
        remedy = (
            f"have `ditto party` run as P{peer}, let P{rank}'s host reach {hosts.links[peer]}, and give both "
            f"the same `parties` and `ca`; `ditto doctor --rank {rank}` on P{rank}'s host says more"
        )
        return [failed(where, "link", str(link["error"]), remedy)]
    findings = [ok(where, "link", f"{float(link['rtt_s']) * 1e3:.1f} ms there and back")]
    if link["version"] != VERSION and status["version"] == VERSION:
        found = f"the other end speaks version {link['version']} of the protocol"
        findings.append(failed(where, "versions", found, "install the same ditto on all machines"))
    return [*findings, _clock(where, float(link["skew_s"]), f"P{rank}'s")]


def _clock(where: str, skew_s: float, whose: str) -> Finding:
    found = f"its clock is {abs(skew_s):.1f} s {'ahead of' if skew_s > 0 else 'behind'} {whose}"
    # Not a number is no clock either.
    if not abs(skew_s) <= CLOCKS_S:
        return failed(where, "clock", found, "have all hosts set their clocks by NTP")
    return ok(where, "clock", found)


def _installed(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"
