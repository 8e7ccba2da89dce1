"""Looking at one address of a hosts file: who listens there, and what it says of itself."""

from __future__ import annotations

import contextlib
import datetime
import socket
import ssl
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

from cryptography import x509

from ditto.runtime.transport.certificates import certificate_names
from ditto.runtime.transport.hosts import Address
from ditto.runtime.transport.identity import IdentityError, check_peer
from ditto.runtime.transport.wire import WireError, header_length, one_line, pack_header, parse_header

SOON = datetime.timedelta(days=30)
"""A certificate that ends within this time is warned of."""

_EXPIRED, _NOT_YET = 10, 9
"""OpenSSL's numbers of what is wrong with a certificate."""


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
        where: what was looked at: `here`, a party `P0`, or a link `P0 -> P1`.
        check: what was checked.
        state: how it is. What is `failed` stands in the way of runs; what is a `warning` soon will.
        found: what there is.
        remedy: what to do about it; empty if all is well.
    """

    where: str
    check: str
    state: Literal["ok", "warning", "failed"]
    found: str
    remedy: str = ""


def ok(where: str, check: str, found: str) -> Finding:
    """A check that all is well with."""
    return Finding(where, check, "ok", one_line(found))


def failed(where: str, check: str, found: str, remedy: str) -> Finding:
    """A check that failed."""
    return Finding(where, check, "failed", one_line(found), one_line(remedy))


class _Failed(Exception):
    """A step that failed, so that there is no next one."""

    def __init__(self, check: str, found: str, remedy: str) -> None:
        super().__init__(found)
        self.check = check
        self.found = found
        self.remedy = remedy


class Probe:
    """Looks at an address, step by step, until a step fails.

    Args:
        where: what it is called in findings.
        address: of a party, where it takes callers, or the other parties.
        name: that its certificate must have.
        tls: of who asks.
        deadline: on the monotonic clock, for each wait; one who says a byte at a time takes longer.

    Attributes:
        where: as above.
        findings: of the steps so far.
        answer: what it said, if it said anything; empty if not.
        skew_s: by how many seconds its clock is ahead of ours.
    """

    def __init__(self, where: str, address: Address, name: str, tls: ssl.SSLContext, deadline: float) -> None:
        self.where = where
        self._address = address
        self._name = name
        self._tls = tls
        self._deadline = deadline
        self.findings: list[Finding] = []
        self.answer: dict[str, Any] = {}
        self.skew_s = 0.0

    def run(self, question: dict[str, Any]) -> None:
        """Takes all steps; the last is to ask for an answer that has the `time`."""
        try:
            self._resolve()
            with self._connected() as plain:
                self._found("reachable", f"{self._address}, {self._rtt_s * 1e3:.1f} ms away")
                with self._secured(plain) as secure:
                    self._check_certificate(secure)
                    answer = self._ask(secure, question)
        except _Failed as failure:
            self.findings.append(failed(self.where, failure.check, failure.found, failure.remedy))
        else:
            self.answer = answer

    def _found(self, check: str, found: str) -> None:
        self.findings.append(ok(self.where, check, found))

    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.1)

    def _resolve(self) -> None:
        try:
            socket.getaddrinfo(self._address.host, self._address.port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise _Failed(
                "name",
                f"cannot resolve '{self._address.host}': {error.strerror}",
                "correct the address in the hosts file, or make the name known to this machine",
            ) from None

    @contextlib.contextmanager
    def _connected(self, check: str = "reachable") -> Iterator[socket.socket]:
        port = self._address.port
        start = time.monotonic()
        try:
            sock = socket.create_connection((self._address.host, port), timeout=self._left())
        except TimeoutError:
            raise _Failed(
                check,
                f"{self._address} does not answer",
                f"start that host, or let connections to its port {port} through the firewalls between",
            ) from None
        except ConnectionRefusedError:
            raise _Failed(
                check,
                f"nothing listens at {self._address}",
                f"start `ditto party` there, or correct the address in the hosts file; firewalls that refuse "
                f"connections to port {port} look the same",
            ) from None
        except OSError as error:
            raise _Failed(
                check,
                f"cannot connect to {self._address}: {error.strerror or error}",
                "correct the address in the hosts file, or the routes to it",
            ) from None
        self._rtt_s = time.monotonic() - start
        with sock:
            yield sock

    @contextlib.contextmanager
    def _secured(self, plain: socket.socket) -> Iterator[ssl.SSLSocket]:
        try:
            plain.settimeout(self._left())
            secure = self._tls.wrap_socket(plain)
        except TimeoutError:
            raise _Failed(
                "TLS",
                f"{self._address} accepts connections and says nothing",
                "look whether another program has that port, or `ditto party` hangs there: restart it",
            ) from None
        except ssl.SSLCertVerificationError as error:
            self._distrust(error)
        except OSError as error:
            raise _Failed("TLS", *_no_tls(error, self._address)) from None
        with secure:
            yield secure

    def _distrust(self, error: ssl.SSLCertVerificationError) -> NoReturn:
        """Fails for a certificate that does not verify; says whose it is."""
        about = ""
        with contextlib.suppress(OSError, ValueError, _Failed):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            # Nothing is said on this connection; it only shows the certificate.
            context.verify_mode = ssl.CERT_NONE
            with self._connected() as plain, context.wrap_socket(plain) as secure:
                certificate = _certificate(secure)
                names = ", ".join(certificate_names(certificate)) or "nobody"
                about = (
                    f" (it is of {names}, signed by '{certificate.issuer.rfc4514_string()}', valid from "
                    f"{certificate.not_valid_before_utc:%F %R} to "
                    f"{certificate.not_valid_after_utc:%F %R} UTC)"
                )
        clocks = error.verify_code in (_EXPIRED, _NOT_YET)
        raise _Failed(
            "certificate",
            f"the certificate at {self._address} is not valid: {error.verify_message}{about}",
            f"set both clocks right, or give it a new one: ditto certify FOLDER {self._name} --renew"
            if clocks
            else "give it a certificate that `ca` has signed, or all machines the same `ca`",
        ) from None

    def _check_certificate(self, secure: ssl.SSLSocket) -> None:
        try:
            check_peer(secure, self._name)
        except IdentityError as error:
            raise _Failed(
                "certificate",
                f"{error}",
                f"give the host at {self._address} the certificate of {self._name}, or correct address or "
                "name in the hosts file",
            ) from None
        self.findings.append(
            validity(self.where, "certificate", f"of {self._name}, {secure.version()}", _certificate(secure))
        )

    def _ask(self, secure: ssl.SSLSocket, question: dict[str, Any]) -> dict[str, Any]:
        try:
            secure.settimeout(self._left())
            secure.sendall(pack_header(question))
            length = header_length(_exactly(secure, 4, self._left()))
            header, sizes = parse_header(_exactly(secure, length, self._left()))
            now = time.time()
            if "error" in header:
                raise _Failed(
                    "answer",
                    f"it turns us away: {header['error']}",
                    "do what it asks for; its operator has to, if that is in its access file",
                )
            if sizes or header.get("ok") is not True:
                raise WireError("it sent something else than an answer")
            self.skew_s = float(header["time"]) + self._rtt_s / 2 - now
        except TimeoutError:
            raise _Failed(
                "answer",
                f"{self._address} says nothing after the handshake",
                "restart `ditto party` there, and look at its log",
            ) from None
        except OSError as error:
            raise _Failed("answer", *_refusal(error, self._address)) from None
        except (WireError, KeyError, TypeError, ValueError, OverflowError) as error:
            raise _Failed(
                "answer",
                f"{self._address} does not speak as a party does: {error}",
                "install the same ditto on all machines",
            ) from None
        return header


def validity(where: str, check: str, what: str, certificate: x509.Certificate) -> Finding:
    """Whether a certificate is valid now, and stays so for a while."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    now = datetime.datetime.now(datetime.UTC)
    renew = "make a new one in time: ditto certify FOLDER NAME --renew"
    if now < start:
        return failed(
            where,
            check,
            f"{what}, not valid before {start:%F %R} UTC",
            "set the clock of this machine right, or make a new certificate",
        )
    if now >= end:
        return failed(where, check, f"{what}, expired at {end:%F %R} UTC", renew)
    if end - now < SOON:
        return Finding(where, check, "warning", f"{what}, expires at {end:%F %R} UTC", renew)
    return ok(where, check, f"{what}, valid until {end:%F}")


def _certificate(secure: ssl.SSLSocket) -> x509.Certificate:
    shown = secure.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown)


def _exactly(sock: socket.socket, size: int, seconds: float) -> bytes:
    sock.settimeout(seconds)
    data = b""
    while len(data) < size:
        chunk = sock.recv(size - len(data))
        if not chunk:
            raise ConnectionResetError("the connection was closed")
        data += chunk
    return data


def _refusal(error: OSError, address: Address) -> tuple[str, str]:
    """Why it ended the connection after our end of the handshake, which in TLS 1.3 comes first."""
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    # A server of asyncio leaves without an alert.
    why = reason.partition("ALERT_")[2].replace("_", " ").lower() or "it ended the connection"
    return (
        f"{address} does not take our certificate: {why}",
        "take a certificate that its `ca` has signed and that is valid by its clock; else look at its log",
    )


def _no_tls(error: OSError, address: Address) -> tuple[str, str]:
    """Why a handshake failed that is not due to a certificate; and what to do."""
    reason = (error.reason or "") if isinstance(error, ssl.SSLError) else ""
    if "PROTOCOL_VERSION" in reason or "UNSUPPORTED_PROTOCOL" in reason:
        return f"{address} does not speak TLS 1.3", "look which program has that port; `ditto party` does"
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST"):
        return (
            f"{address} does not speak TLS",
            "look which program has that port, or correct the address in the hosts file",
        )
    if isinstance(error, (ssl.SSLEOFError, ssl.SSLZeroReturnError, ConnectionError)):
        return (
            f"{address} ended the connection within the handshake",
            "look which program has that port; a server with too many connections does that, too",
        )
    return f"no TLS with {address}: {error}", "look which program has that port, and at its log"
