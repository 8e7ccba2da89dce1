"""The file that says where parties on hosts of their own are, and whom they and their caller trust.

    parties = [
      { address = "10.0.0.1:9000", link = "10.0.0.1:9001" },
      { address = "10.0.0.2:9000", link = "10.0.0.2:9001" },
      { address = "10.0.0.3:9000", link = "10.0.0.3:9001" },
    ]
    ca = "ca.pem"
    certificate = "host.pem"
    key = "host.key"

All four machines have the same file, each with its own certificate and key beside it: paths are relative to
the file. A caller connects to `address`, parties connect to each other's `link`. Every connection is TLS, and
both ends must show a certificate that `ca` has signed; a caller also wants the host of `address` to be in it.
"""

from __future__ import annotations

import ssl
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ditto.runtime.transport.tables import check_keys
from ditto_compiler.errors import DittoError
from ditto_compiler.files import as_path
from ditto_compiler.network import PARTIES

_KEYS = ("parties", "ca", "certificate", "key")
_PARTY_KEYS = ("address", "link")


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
        ca: PEM file of the authority that signs certificates.
        certificate: this machine's, a PEM file.
        key: its private key, a PEM file.
    """

    addresses: tuple[Address, ...]
    links: tuple[Address, ...]
    ca: Path
    certificate: Path
    key: Path

    def tls(self, *, server: bool) -> ssl.SSLContext:
        """What a party's (`server`) or a caller's end of a connection asks and shows.

        Raises:
            HostsError: the certificates cannot be used.
        """
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        try:
            context.load_verify_locations(self.ca)
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ssl.SSLError) as error:
            raise HostsError(
                f"cannot use certificate '{self.certificate}' with key '{self.key}' and authority "
                f"'{self.ca}': {error}"
            ) from None
        return context

    def describe_link(self, description: Any) -> None:
        """Adds the parties and TLS to SPU's description of a link."""
        for number, address in enumerate(self.links):
            description.add_party(f"P{number}", str(address))
        description.enable_ssl = True
        for options in (description.server_ssl_opts, description.client_ssl_opts):
            options.cert.certificate_path = str(self.certificate)
            options.cert.private_key_path = str(self.key)
            options.verify.verify_depth = 1
            options.verify.ca_file_path = str(self.ca)


def load_hosts(path: str | Path) -> Hosts:
    """Reads a hosts file.

    Raises:
        HostsError: no such file, not TOML, a key that is missing, unknown or of the wrong type.
    """
    path = as_path(path, "a hosts file", HostsError)
    try:
        data = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise HostsError(f"cannot read hosts file '{path}': {error}") from None
    try:
        check_keys(data, "the file", HostsError, _KEYS)
        parties = data["parties"]
        if not isinstance(parties, list) or len(parties) != PARTIES:
            raise HostsError(f"parties must be a list of {PARTIES} tables")
        for rank, party in enumerate(parties):
            check_keys(party, f"party {rank}", HostsError, _PARTY_KEYS)
        addresses, links = (
            tuple(_address(party[key], f"{key} of party {rank}") for rank, party in enumerate(parties))
            for key in _PARTY_KEYS
        )
        listening = [*addresses, *links]
        for address in listening:
            if listening.count(address) > 1:
                raise HostsError(f"{address} is given twice")
        files = [_file(data[key], key, path.parent) for key in ("ca", "certificate", "key")]
    except HostsError as error:
        raise HostsError(f"hosts file '{path}': {error}") from None
    return Hosts(addresses, links, *files)


def _address(text: object, what: str) -> Address:
    host, _, port = text.rpartition(":") if isinstance(text, str) else ("", "", "")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise HostsError(f"{what} must be a string 'HOST:PORT', got {text!r}")
    return Address(host, int(port))


def _file(text: object, key: str, folder: Path) -> Path:
    if not isinstance(text, str):
        raise HostsError(f"{key} must be the path of a PEM file, got {text!r}")
    return folder / text
