"""Who is at the other end of a TLS connection: the names in its certificate."""

from __future__ import annotations

import ipaddress
import ssl

from ditto_compiler.errors import DittoError

_KINDS = ("DNS", "URI", "IP Address")


class IdentityError(DittoError):
    """A certificate that is of somebody else, or does not say of whom."""


def normal_name(name: str) -> str:
    """A name as names are compared: addresses in short, hosts in lower case, URIs as they are."""
    try:
        return str(ipaddress.ip_address(name.strip()))
    except ValueError:
        return name if "://" in name else name.lower()


def peer_names(connection: ssl.SSLSocket | ssl.SSLObject) -> tuple[str, ...]:
    """The subject alternative names of the certificate at the other end: hosts, URIs and addresses.

    No wildcards, for these name nobody.
    """
    # What is not printable would forge lines of logs.
    return tuple(normal_name(name) for name in _entries(connection) if "*" not in name and name.isprintable())


def _entries(connection: ssl.SSLSocket | ssl.SSLObject) -> list[str]:
    entries = (connection.getpeercert() or {}).get("subjectAltName", ())
    return [str(entry[1]) for entry in entries if isinstance(entry, tuple) and entry[0] in _KINDS]


def check_peer(connection: ssl.SSLSocket | ssl.SSLObject, expected: str) -> None:
    """Makes sure that the certificate at the other end is that of `expected`.

    Raises:
        IdentityError: it is not.
    """
    names = peer_names(connection)
    if normal_name(expected) not in names:
        found = ", ".join(names) or "nobody by a subject alternative name"
        raise IdentityError(f"the certificate there is of {found}, not of {expected}")


def only_name(connection: ssl.SSLSocket | ssl.SSLObject) -> str:
    """The name that a caller goes by: the only one in its certificate.

    Raises:
        IdentityError: there is none, or several.
    """
    names = peer_names(connection)
    # Of what is none of `names`, nobody can say whom it means.
    if len(names) != 1 or len(_entries(connection)) != 1:
        found = ", ".join(names) or "none"
        raise IdentityError(
            f"a caller's certificate must have exactly one subject alternative name, this has {found}"
        )
    return names[0]
