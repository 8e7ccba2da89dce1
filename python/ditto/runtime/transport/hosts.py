"""The file that says where parties on hosts of their own are, and whom they and their caller trust.

    parties = [
      { address = "10.0.0.1:9000", link = "10.0.0.1:9001", name = "p0.example" },
      { address = "10.0.0.2:9000", link = "10.0.0.2:9001", name = "p1.example" },
      { address = "10.0.0.3:9000", link = "10.0.0.3:9001", name = "p2.example" },
    ]
    ca = "ca.pem"
    certificate = "host.pem"
    key = "host.key"
    access = "access.toml"

All machines have the same `parties`, each with its own certificate and key beside the file: paths are
relative to it. A caller connects to `address`, parties connect to each other's `link`. Every connection is
TLS 1.3, and both ends show a certificate that `ca` has signed. That of a party must have the party's `name`,
which is the host of `address` unless it is given. `access` says what callers may do, see
`ditto.runtime.party.access`; callers need none.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ditto.runtime.transport.identity import normal_name
from ditto.runtime.transport.tables import check_keys, read_tables
from ditto_compiler.errors import DittoError
from ditto_compiler.files import as_path
from ditto_compiler.network import PARTIES

_KEYS = ("parties", "ca", "certificate", "key")
_OPTIONAL_KEYS = ("access",)
_PARTY_KEYS = ("address", "link")
_OPTIONAL_PARTY_KEYS = ("name",)


class HostsError(DittoError):
    """A hosts file that cannot be read or says something wrong."""


@dataclass(frozen=True)
class Address:
    """Where something listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True)
class Hosts:
    """A hosts file.

    Attributes:
        addresses: where each party listens for a caller.
        links: where each party listens for the others.
        names: that each party's certificate must have.
        ca: PEM file of the authority that signs certificates.
        certificate: this machine's, a PEM file.
        key: its private key, a PEM file.
        access: what callers may do, if this machine is a party.
    """

    addresses: tuple[Address, ...]
    links: tuple[Address, ...]
    names: tuple[str, ...]
    ca: Path
    certificate: Path
    key: Path
    access: Path | None = None

    def tls(self, *, server: bool) -> ssl.SSLContext:
        """What the end of a connection that is connected to (`server`), or connects, asks and shows.

        Whose certificate it is that the other end shows is for `identity.check_peer` to see.

        Raises:
            HostsError: the certificates cannot be used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        # Names are of parties, not of hosts, and both ends are checked alike.
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        if server:
            # Nobody resumes a session whose certificate may have expired since.
            context.num_tickets = 0
        try:
            context.load_verify_locations(self.ca)
            context.load_cert_chain(self.certificate, self.key, password=_no_password)
        except (OSError, ssl.SSLError) as error:
            raise HostsError(
                f"cannot use certificate '{self.certificate}' with key '{self.key}' and authority "
                f"'{self.ca}': {error}"
            ) from None
        return context


def _no_password() -> str:
    raise HostsError("the key is encrypted; nobody is there to type its password, so it must not be")


def hosts_text(parties: Iterable[tuple[str, str, str]]) -> str:
    """A hosts file of parties, each an address, a link and a name, beside which is what `ditto certify` made.

    It says that there is an access file, too, which callers need not have.
    """
    lines = "".join(
        f'  {{ address = "{address}", link = "{link}", name = "{name}" }},\n'
        for address, link, name in parties
    )
    files = 'ca = "ca.pem"\ncertificate = "host.pem"\nkey = "host.key"\naccess = "access.toml"\n'
    return f"parties = [\n{lines}]\n{files}"


def load_hosts(path: str | Path) -> Hosts:
    """Reads a hosts file.

    Raises:
        HostsError: no such file, not TOML, a key that is missing, unknown or of the wrong type.
    """
    path = as_path(path, "a hosts file", HostsError)
    data = read_tables(path, "hosts file", HostsError)
    try:
        check_keys(data, "the file", HostsError, _KEYS, _OPTIONAL_KEYS)
        parties = data["parties"]
        if not isinstance(parties, list) or len(parties) != PARTIES:
            raise HostsError(f"parties must be a list of {PARTIES} tables")
        for rank, party in enumerate(parties):
            check_keys(party, f"party {rank}", HostsError, _PARTY_KEYS, _OPTIONAL_PARTY_KEYS)
        addresses, links = (
            tuple(_address(party[key], f"{key} of party {rank}") for rank, party in enumerate(parties))
            for key in _PARTY_KEYS
        )
        listening = [*addresses, *links]
        for address in listening:
            if listening.count(address) > 1:
                raise HostsError(f"{address} is given twice")
        names = tuple(
            _name(party.get("name", address.host), rank)
            for rank, (party, address) in enumerate(zip(parties, addresses, strict=True))
        )
        for rank, name in enumerate(names):
            if name in names[:rank]:
                raise HostsError(
                    f"parties {names.index(name)} and {rank} both have the name '{name}', so one could pose "
                    "as the other; give each a `name` of its own, and certificates with these names"
                )
        files = [_file(data[key], key, path.parent) for key in ("ca", "certificate", "key")]
        access = _file(data["access"], "access", path.parent) if "access" in data else None
    except HostsError as error:
        raise HostsError(f"hosts file '{path}': {error}") from None
    ca, certificate, key = files
    return Hosts(addresses, links, names, ca, certificate, key, access)


def _address(text: object, what: str) -> Address:
    host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise HostsError(f"{what} must be a string 'HOST:PORT', got {text!r}")
    try:
        # As the resolver will.
        host.encode("idna")
    except UnicodeError as error:
        raise HostsError(f"{what} has a host that cannot be a name, {host!r}: {error}") from None
    if not host.isprintable():
        raise HostsError(f"{what} has a host with control characters, {host!r}")
    return Address(host, int(port))


def _name(text: object, rank: int) -> str:
    if not isinstance(text, str) or not text or "*" in text:
        raise HostsError(f"name of party {rank} must be a name in its certificate, got {text!r}")
    return normal_name(text)


def _file(text: object, key: str, folder: Path) -> Path:
    if not isinstance(text, str):
        raise HostsError(f"{key} must be the path of a PEM file, got {text!r}")
    return folder / text
